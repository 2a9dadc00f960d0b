"""Health: the measures of what runs here, drawn on one axis of time, compared, kept as views and taken away as files."""
