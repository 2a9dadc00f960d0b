"""Numbered migrations of the agents' tables."""
