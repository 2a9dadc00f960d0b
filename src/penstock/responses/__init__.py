"""Stored responses: a reply can be fetched again, and a next turn can follow it, whatever provider answers."""
