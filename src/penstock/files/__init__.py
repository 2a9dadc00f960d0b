"""Files that belong to organisations: uploaded, listed, read, and named in calls."""
