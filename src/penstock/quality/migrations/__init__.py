"""Numbered migrations of quality's tables."""
