"""Prompts as the line finds them: where labels point, from memory; and what a version says, read once, since it never changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from penstock.kernel.errors import Forbidden, NotFound
from penstock.registry.prompts import store
from penstock.registry.prompts.model import Known, Prompt, resolved
from penstock.registry.prompts.template import Template
from penstock.storage.records import Records

_TEMPLATES = 1000


class Shelf:
    """Finds a version for a call. While the database does not answer, what was used lately goes on working."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._prompts: dict[tuple[str, str], Prompt] = {}
        self._versions: Mapping[tuple[str, int], Known] = {}
        self._templates: OrderedDict[str, Template] = OrderedDict()

    def apply(self, prompts: Iterable[Prompt], versions: Mapping[tuple[str, int], Known]) -> None:
        """Take in all prompts and versions that there are."""
        found = {(prompt.organisation, name): prompt for prompt in prompts for name in (prompt.id, prompt.name)}
        self._prompts, self._versions = found, versions

    def find(self, organisation: str, id: str, version: str | None) -> Known:
        """The version that a call of ``organisation`` means. Raises `NotFound`, and `Forbidden` when it is revoked."""
        prompt = self._prompts.get((organisation, id))
        if prompt is None:
            raise NotFound(f"there is no prompt {id[:100]!r}", code="prompt_not_found", param="prompt.id")
        number = resolved(prompt.name, prompt.labels, prompt.newest, version)
        known = self._versions[prompt.id, number]
        if known.state == "revoked":
            raise Forbidden(f"version {number} of the prompt {prompt.name!r} is revoked", code="prompt_revoked", param="prompt.version")
        return known

    async def template(self, known: Known) -> Template:
        """What the version says. Raises `StorageError` when it has to be read and the database does not answer."""
        template = self._templates.get(known.id)
        if template is None:
            version = await self._records.read(lambda connection: store.version_by_id(connection, known.id))
            assert version is not None  # versions are never deleted
            template = self._templates[known.id] = Template(version.messages, version.variables)
            if len(self._templates) > _TEMPLATES:
                self._templates.popitem(last=False)
        else:
            self._templates.move_to_end(known.id)
        return template
