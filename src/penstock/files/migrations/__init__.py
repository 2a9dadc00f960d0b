"""Migrations of the files, numbered."""
