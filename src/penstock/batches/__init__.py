"""Batches: many calls in one order, done when there is room."""
