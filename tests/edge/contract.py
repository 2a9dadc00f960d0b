"""The OpenAPI document as a judge: whether what was sent and what came back are what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import msgspec
from tests.house import Answer, House


class Contract:
    """The document of a running house, and which of its operations were seen to succeed."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.succeeded: set[str] = set()
        self.statuses: dict[str, set[int]] = {}

    @classmethod
    async def of(cls, house: House) -> Contract:
        return cls((await house.ask("GET", "/openapi.json", key="")).json)

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def operation(self, method: str, url: str) -> dict[str, Any]:
        path = url.partition("?")[0]
        fitting = [
            (template.count("{"), operation)
            for verb, template, operation in self.operations()
            if verb == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path)
        ]
        assert fitting, f"{method} {path} is not in the document"
        return min(fitting, key=lambda found: found[0])[1]

    def valid(self, value: Any, schema: Mapping[str, Any]) -> None:
        """Raises what is wrong with ``value``."""
        whole = {**schema, "components": self.document["components"]}
        fault = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(whole).iter_errors(value))
        if fault is not None:
            raise AssertionError(f"{fault.json_path}: {fault.message[:500]}")

    def check(self, method: str, url: str, body: Any, answer: Answer) -> None:
        """The answer is one that the document promises; so is the request, when it was taken."""
        operation = self.operation(method, url)
        name = operation["operationId"]
        if answer.status < 300 and "requestBody" in operation:
            self.valid(body, operation["requestBody"]["content"]["application/json"]["schema"])
        promised = operation["responses"].get(str(answer.status)) or operation["responses"].get(f"{answer.status // 100}XX")
        assert promised is not None, f"{name} answered {answer.status}, which the document does not know: {answer.text}"
        self.statuses.setdefault(name, set()).add(answer.status)
        if answer.status < 300:
            self.succeeded.add(name)
        if "content" not in promised:
            assert answer.text == ""
            return
        kind = answer.headers["content-type"].partition(";")[0]
        content = promised["content"][kind]
        if kind == "application/json":
            self.valid(answer.json, content["schema"])
        for data in events(answer.text) if kind == "text/event-stream" else ():
            self.valid(data, content["x-itemSchema"])


def events(stream: str) -> list[Any]:
    """The JSON of every event."""
    found = [line[5:].strip() for line in stream.splitlines() if line.startswith("data:")]
    return [msgspec.json.decode(data) for data in found if data != "[DONE]"]
