"""A large batch, killed again and again, beside interactive calls."""
