"""What `penstock.trace` says, and anyone may who knows our words."""

from __future__ import annotations

from penstock.observability.otlp.conventions.convention import Convention
from penstock.storage.telemetry.span import KINDS

OURS = Convention(
    name="penstock",
    source="Penstock's own attributes",
    texts={"penstock.task": "task", "penstock.session": "session", "penstock.prompt": "prompt", "penstock.run": "run"},
    kinds={"penstock.kind": {kind: kind for kind in KINDS}},
)
