"""Numbered migrations of the stored responses."""
