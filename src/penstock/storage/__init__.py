"""State behind small protocols: the embedded default beside each, one file per engine."""
