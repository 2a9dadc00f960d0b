"""Prompts: templates with typed variables, versioned beside models and used by id from a call."""
