"""Numbered migrations of the other protocols' tables."""
