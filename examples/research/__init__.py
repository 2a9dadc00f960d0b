"""Research: a question is taken apart, three look into it at once, one writes it together, and it is published."""
