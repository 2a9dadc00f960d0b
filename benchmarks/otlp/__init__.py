"""How fast spans come in over OTLP, beside what OpenTelemetry's own classes take to read them."""
