"""Numbered changes of the tables of finops."""
