"""The telemetry store: everything that ran here or was told to us, as spans, fast to ask."""
