"""Numbered migrations of the registry."""
