"""Statistics that several rooms decide with: exact bounds, bets, intervals, and tests that watch for change.

`bounds` is plain Python. The others need numpy (the extra ``local``), so nothing that is imported at the start may import them at its top.
"""
