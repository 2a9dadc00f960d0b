"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# How long one example takes says more about the machine than about the code; the test's own timeout still holds.
settings.register_profile("penstock", deadline=None)
settings.load_profile("penstock")
