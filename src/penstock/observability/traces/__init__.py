"""Traces: looking for spans, seeing how a trace went, reading conversations, comparing two traces, saying something about them."""
