"""A compliance report: one agent drafts it, another looks up whether its sources say what it says they do."""
