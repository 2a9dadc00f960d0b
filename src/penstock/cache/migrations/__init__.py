"""Numbered migrations of the cache's tables."""
