"""The contestants, each in one file, each run in a process of its own."""
