"""The drafter, the verifier, and the workflow in which the one's report is checked by the other.

``DRAFTER_MODEL`` and ``VERIFIER_MODEL`` say what to ask: two different models notice more.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from penstock.agents import Limits, Permanent, agent, step, tool, workflow

SOURCES = Path(__file__).parent / "sources"
ROUNDS = 2
"""How often a draft is put right before what does not hold is left out."""


class Claim(Struct, frozen=True):
    """One thing that the report says, the source that it is from, and the words there that say it."""

    text: str
    source: Annotated[str, Meta(description="Name of the source")]
    quote: Annotated[str, Meta(description="Word for word")]


class Draft(Struct, frozen=True):
    """A report."""

    title: str
    claims: list[Claim]


class Finding(Struct, frozen=True):
    """Whether a claim, numbered from 0, follows from its source."""

    claim: int
    holds: bool
    why: str


class Checked(Struct, frozen=True):
    """The report as it may be used: the claims that hold, those that were left out, and how many drafts it took."""

    title: str
    claims: list[Claim]
    left_out: list[Finding]
    drafts: int


@tool
def list_sources() -> list[str]:
    """The names of all sources."""
    return sorted(file.stem for file in SOURCES.glob("*.md"))


@tool
def read_source(name: str) -> str:
    """Read a source."""
    file = SOURCES / f"{name}.md"
    if name not in {one.stem for one in SOURCES.glob("*.md")}:
        raise Permanent(f"there is no source {name[:100]!r}")
    return file.read_text("utf-8")


@agent(model=os.environ.get("DRAFTER_MODEL", "stand-in/drafter"), tools=[list_sources, read_source], limits=Limits(turns=20))
async def drafter(subject: str, before: Draft | None, wrong: list[Finding]) -> Draft:
    """Draft a compliance report from the sources. Each claim names its source and quotes the words that it rests on.

    Where an earlier draft is given, put right what was found wrong in it, and keep the rest.
    """
    ...


@agent(model=os.environ.get("VERIFIER_MODEL", "stand-in/verifier"), tools=[read_source], limits=Limits(turns=20))
async def verifier(draft: Draft) -> list[Finding]:
    """Look each claim of a draft up in its source, and say for each whether it follows from what stands there.

    Be strict: a number that differs, or a word like "all" that the source does not have, and it does not hold.
    """
    ...


def misquoted(draft: Draft) -> list[Finding]:
    """Claims whose quote does not stand in their source: for that nobody needs a model."""
    found: list[Finding] = []
    for number, claim in enumerate(draft.claims):
        try:
            text = read_source(claim.source)
        except Permanent as fault:
            found.append(Finding(number, False, str(fault)))
            continue
        if not claim.quote.strip() or " ".join(claim.quote.split()) not in " ".join(text.split()):
            found.append(Finding(number, False, f"the source {claim.source} does not say {claim.quote!r}"))
    return found


@workflow(name="compliance-report", limits=Limits(usd=1.0, seconds=3600))
async def report(subject: str) -> Checked:
    """Draft a compliance report, and have its sources verified by somebody else."""
    draft = await drafter(subject, None, [])
    drafts = 1
    while True:
        said = [one for one in await verifier(draft) if 0 <= one.claim < len(draft.claims)]
        quotes = await step(misquoted, draft)
        wrong = list({one.claim: one for one in [*(one for one in said if not one.holds), *quotes]}.values())
        # A claim that the verifier said nothing about was not verified.
        silent = set(range(len(draft.claims))) - {one.claim for one in [*said, *wrong]}
        wrong += [Finding(number, False, "nobody verified it") for number in sorted(silent)]
        if not wrong or drafts > ROUNDS:
            break
        draft = await drafter(subject, draft, wrong)
        drafts += 1
    bad = {one.claim for one in wrong}
    return Checked(draft.title, [one for n, one in enumerate(draft.claims) if n not in bad], wrong, drafts)
