"""What a realtime session costs through Penstock."""
