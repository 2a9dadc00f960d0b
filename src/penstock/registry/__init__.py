"""Models, their versions, what was found in their weights, who approved them for what."""
