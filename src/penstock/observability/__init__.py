"""What happened: every call on the record, and the pages, metrics and traces that show it."""
