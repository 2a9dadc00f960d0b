"""A run that is executed again and again, with what it journalled before, and that dies wherever a test wants it to.

It keeps what the journal's protocol promises (`penstock.kernel.journal`): results of completed steps are read back, a step that was
under way is done again, a value that was signalled is taken once, and the time at which a wait ends does not move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from penstock.kernel.errors import NotFound
from penstock.kernel.journal import Child, Retry, RunInfo


class Killed(BaseException):
    """The process dies here."""


class Blocked(BaseException):
    """Nothing more happens until somebody signals, or time passes."""


class Memory:
    """What survives the process: steps by number, values that were signalled, and when waits end."""

    def __init__(self) -> None:
        self.steps: dict[int, Any] = {}
        self.names: dict[int, str] = {}
        self.ends: dict[int, float] = {}
        self.signals: dict[str, list[Any]] = {}
        self.keys: set[str] = set()

    async def signal(self, reach: str | None, run: str, topic: str, value: Any = None, *, key: str | None = None) -> None:
        if key is None or key not in self.keys:
            self.keys.add(key or "")
            self.signals.setdefault(topic, []).append(value)

    async def get(self, reach: str | None, run: str) -> RunInfo:
        """Nobody forked what is here."""
        raise NotFound(f"no run {run!r}")


class Execution:
    """One execution. ``lives`` is how many moments it lives through: before a step, after it and before it is journalled, after that."""

    def __init__(self, memory: Memory, now: Callable[[], float], lives: int) -> None:
        self.id = "run_1"
        self.organisation = "org"
        self.labels: Mapping[str, str] = {}
        self._memory = memory
        self._now = now
        self._lives = lives
        self._number = 0

    def moment(self) -> None:
        """The process may die here."""
        self._lives -= 1
        if self._lives == 0:
            raise Killed

    async def step(self, name: str, function: Callable[..., Any], *args: Any, retry: Retry | None = None) -> Any:
        self._number += 1
        number, memory = self._number, self._memory
        if number not in memory.steps:
            self.moment()
            found = function(*args)
            found = await found if hasattr(found, "__await__") else found
            self.moment()
            memory.steps[number] = msgspec.json.decode(msgspec.json.encode(found))
            memory.names[number] = name
            self.moment()
        assert memory.names[number] == name, "the order of steps has changed"
        return memory.steps[number]

    async def wait(self, topic: str, timeout: float | None = None) -> Any:
        self._number += 1
        number, memory = self._number, self._memory
        if number not in memory.steps:
            self.moment()
            end = memory.ends.setdefault(number, self._now() + (timeout or 1e9))
            if memory.signals.get(topic):
                memory.steps[number] = [memory.signals[topic].pop(0)]
            elif self._now() >= end:
                memory.steps[number] = None
            else:
                raise Blocked
            memory.names[number] = f"wait {topic}"
        assert memory.names[number] == f"wait {topic}", "the order of steps has changed"
        if memory.steps[number] is None:
            raise TimeoutError
        return memory.steps[number][0]

    async def sleep(self, seconds: float) -> None:
        self._number += 1
        self._memory.names.setdefault(self._number, "sleep")

    async def child(self, name: str, input: Any = None, **terms: Any) -> Child:
        raise NotImplementedError("no agent of these tests asks another one")

    async def write(self, stream: str, value: Any) -> None:
        raise NotImplementedError("nothing here writes a stream")
