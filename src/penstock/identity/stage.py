"""The station of the line that asks who is calling."""

from __future__ import annotations

from penstock.identity.keyring import Keyring
from penstock.kernel.call import Call, Reply
from penstock.kernel.errors import Forbidden
from penstock.kernel.principal import Scope
from penstock.kernel.stage import Proceed, Slot


class Authenticate:
    """Turns the key into a principal, or refuses: 401 without a live key, 403 when it may not call models."""

    name = "authenticate"
    slot = Slot.AUTHENTICATE

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        # Set before the scope is judged, so that the record of a refused call says whose it was.
        # A signed-in browser's call comes with its principal: the edge took it from the session.
        principal = call.principal or self._keyring.authenticate(call.credential)
        call.principal = principal
        if not principal.may(Scope.CALL):
            raise Forbidden(f"the API key {principal.name!r} lacks the scope 'call'")
        return await proceed(call)
