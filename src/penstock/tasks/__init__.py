"""Tasks: named pieces of work with an owner, a floor and a budget; declared in the settings or over the API."""
