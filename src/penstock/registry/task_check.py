"""What the registry finds missing before a task can be routed with proof: candidates that nobody registered or approved."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.kernel.candidates import Candidates
from penstock.kernel.capability import Finding
from penstock.kernel.errors import UnknownModel
from penstock.kernel.ports import Ports
from penstock.kernel.tasks import Task
from penstock.registry.model import Version
from penstock.registry.permits import Permits
from penstock.registry.standing import Standing

_NEXT = {
    "draft": "scan it (POST /v1/registry/versions/{id}/scan)",
    "scanned": "have it signed (POST /v1/registry/versions/{id}/signature)",
    "signed": "add what an evaluation found (POST /v1/registry/versions/{id}/evaluations)",
    "evaluated": "let a second person approve it (POST /v1/registry/versions/{id}/approvals)",
    "approved": "let a second person approve it for this task too (POST /v1/registry/versions/{id}/approvals)",
    "revoked": "take it out of the task, or register a new version",
}


class TaskApprovals:
    """A `TaskCheck`."""

    def __init__(self, standing: Standing, permits: Permits, ports: Ports) -> None:
        self._standing = standing
        self._permits = permits
        self._ports = ports

    async def __call__(self, task: Task) -> Sequence[Finding]:
        candidates = self._ports.get(Candidates)
        return [found for name in task.candidates if (found := self._look(task, name, candidates)) is not None]

    def _look(self, task: Task, name: str, candidates: Candidates) -> Finding | None:
        try:
            target = candidates.resolve(name)
        except UnknownModel:
            return None  # told by the room of the tasks
        version = self._standing.version_of(target.provider, target.model, task.organisation)
        refused = self._permits.refusal(target.provider, target.model, organisation=task.organisation, task=task.name)
        if refused is not None and refused.code == "place_not_allowed":
            return None  # told by the room of the tasks
        called = f"approval of {name}"
        if refused is not None:
            return Finding(name=called, status="fail", what=refused.message, mend=_mend(version))
        if version is None:
            what = "nobody registered it, so nobody approved it; registry.default lets it through"
            return Finding(name=called, status="warn", what=what, mend="register it and let a second person approve it (docs/registry.md)")
        return Finding(name=called, status="ok", what=f"{version.id} is approved for it")


def _mend(version: Version | None) -> str:
    if version is None:
        return "register it and let a second person approve it (docs/registry.md)"
    # A vendor's endpoint has no weights that could be scanned or signed.
    state = "signed" if version.facts.origin == "vendor" and version.state == "draft" else version.state
    return _NEXT[state].replace("{id}", version.id)
