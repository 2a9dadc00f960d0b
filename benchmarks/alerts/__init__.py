"""How soon and how rightly detectors see spikes and shifts whose times are known."""
