"""Graders: one file for each kind of judge that a task can name. `of` makes the one that a `Judge` describes."""

from __future__ import annotations

from penstock.kernel.errors import RequestError
from penstock.kernel.tasks import Judge
from penstock.quality.graders.code import Code
from penstock.quality.graders.exact import Exact
from penstock.quality.graders.grade import Asks, Grade, Grader, Heard
from penstock.quality.graders.matching import Matcher, check
from penstock.quality.graders.numeric import Numeric
from penstock.quality.graders.pairwise import Pairwise
from penstock.quality.graders.regex import Regex
from penstock.quality.graders.rubric import Rubric
from penstock.quality.graders.waiting import Waiting


def of(judge: Judge, *, asks: Asks, matcher: Matcher, code: Code, grounded: Grader) -> Grader:
    """The grader. Raises `RequestError` for a judge that lacks what its kind needs."""
    if judge.pattern is not None:
        try:
            check(judge.pattern)
        except ValueError as fault:
            raise RequestError(f"judge.pattern: {fault}", param="judge.pattern") from None
    match judge.kind:
        case "exact":
            return Exact(matcher, pattern=judge.pattern, ignore_case=judge.ignore_case)
        case "numeric":
            return Numeric(matcher, pattern=judge.pattern, tolerance=judge.tolerance)
        case "regex":
            if judge.pattern is None:
                raise RequestError("judge.pattern: a judge of kind 'regex' needs one", param="judge.pattern")
            return Regex(matcher, pattern=judge.pattern, ignore_case=judge.ignore_case)
        case "json_schema":
            if judge.schema is None:
                raise RequestError("judge.schema: a judge of kind 'json_schema' needs one", param="judge.schema")
            # Its library takes long to import.
            from penstock.quality.graders.schema import Schema

            return Schema(judge.schema)
        case "code":
            return code
        case "rubric" | "pairwise":
            if not judge.model:
                raise RequestError(f"judge.model: a judge of kind {judge.kind!r} needs one", param="judge.model")
            kind = Rubric if judge.kind == "rubric" else Pairwise
            return kind(asks, model=judge.model, rubric=judge.rubric)
        case "human" | "outcome":
            return Waiting(judge.kind)
        case "groundedness":
            return grounded


__all__ = ["Asks", "Code", "Grade", "Grader", "Heard", "Matcher", "of"]
