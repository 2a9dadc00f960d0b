"""Somebody else's endpoints, and what is known about them as data."""
