"""Numbered migrations of the alerts' tables."""
