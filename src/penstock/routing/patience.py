"""Of what is found round by round, only what lasts is acted on.

Where a name leads may be another answer for some seconds: a house that has just started has not found all of its models yet, and what is
done about a policy is done for good.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec

from penstock.routing.policy import Policy

SETTLE_SECONDS = 60.0
"""How long the same must be found before it is believed; the default serves the calls that it concerns meanwhile."""
FORGET_SECONDS = 45.0
"""After which what was not found again was not there: some rounds."""

P = ParamSpec("P")


def patient(
    act: Callable[Concatenate[Policy, P], Awaitable[None]], clock: Callable[[], float] = time.monotonic
) -> Callable[Concatenate[Policy, P], Awaitable[None]]:
    """``act``, once it was asked for with the same words for `SETTLE_SECONDS`, without a pause."""
    asked: dict[tuple[str, str], tuple[float, float]] = {}

    async def wait(policy: Policy, *args: P.args, **more: P.kwargs) -> None:
        now, key = clock(), (policy.id, repr((args, more)))
        for old in [old for old, (_, last) in asked.items() if now - last > FORGET_SECONDS]:
            del asked[old]
        first, _ = asked.get(key, (now, now))
        asked[key] = (first, now)
        if now - first >= SETTLE_SECONDS:
            await act(policy, *args, **more)
            del asked[key]

    return wait
