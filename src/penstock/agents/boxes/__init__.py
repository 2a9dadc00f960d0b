"""Toolboxes that operators configure and agents take by name."""
