"""Durable agents: what crashes do to them, what they cost beside their peers, what waiting and queued ones cost."""
