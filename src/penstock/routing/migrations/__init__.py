"""Numbered migrations of routing."""
