"""One worker against two, and what an overloaded Penstock lets through."""
