"""Runs for who watches and answers over plain HTTP."""
