"""Recordings of exchanges with providers: written while they happen, played back in their own time. docs/recordings.md has the format."""

from __future__ import annotations

from penstock.gateway.recordings.capture import Capture
from penstock.gateway.recordings.convert import as_stream, as_whole
from penstock.gateway.recordings.exchange import Exchange, Header
from penstock.gateway.recordings.player import Player, models
from penstock.gateway.recordings.recorder import Recorder
from penstock.gateway.recordings.replay import play_stream, play_whole, wait_for_first_byte

__all__ = [
    "Capture",
    "Exchange",
    "Header",
    "Player",
    "Recorder",
    "as_stream",
    "as_whole",
    "models",
    "play_stream",
    "play_whole",
    "wait_for_first_byte",
]
