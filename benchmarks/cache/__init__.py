"""How often a semantic cache answers, and how often wrongly."""
