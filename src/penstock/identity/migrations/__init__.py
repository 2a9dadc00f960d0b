"""Numbered changes of identity's tables."""
