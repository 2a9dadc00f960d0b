"""Saved views: the address of a console page under a name, one's own or the whole organisation's."""
