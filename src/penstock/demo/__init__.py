"""The demo: Penstock as a real process on loopback, a sample organisation in it, and real recorded traffic driven through it from outside.

It knows Penstock as any client does, over HTTP; nothing here reaches into a capability.
"""
