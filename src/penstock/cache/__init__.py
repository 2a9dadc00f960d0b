"""The cache: answers that were given before, exactly or, where a task's own traffic supports it, to the same question in other words."""
