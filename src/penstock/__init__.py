"""Penstock: ask for a task, get the cheapest approved model that is good enough, with proof."""

__version__ = "0.1.0"
