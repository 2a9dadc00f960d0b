"""OTLP in: spans that other programs send, over HTTP and gRPC, brought into the one model of spans."""
