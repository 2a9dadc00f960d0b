"""Drift: what of a task's calls and replies is no longer as it was, since when, and what changed first."""
