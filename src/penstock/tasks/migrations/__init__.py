"""Numbered migrations of the tasks."""
