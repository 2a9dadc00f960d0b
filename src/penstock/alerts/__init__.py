"""Alerts: rules on measures, what they fire, whom that reaches; and events of the house for other programs."""
