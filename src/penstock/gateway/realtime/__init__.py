"""Sessions over WebSocket in OpenAI's realtime shape: passed through event by event, watched, charged and recorded."""
