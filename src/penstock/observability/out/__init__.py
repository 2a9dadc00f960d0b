"""Spans on their way out: our calls and what other programs sent, over OTLP to any number of receivers."""
