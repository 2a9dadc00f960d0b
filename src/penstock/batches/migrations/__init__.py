"""Numbered migrations of the batches' table."""
