"""Agents and workflows that are started later, once or again and again."""
