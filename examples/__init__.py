"""Agents to copy, one folder each."""
