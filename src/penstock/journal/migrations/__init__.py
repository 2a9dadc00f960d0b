"""Numbered migrations of the journal's own tables; DBOS keeps its tables itself."""
