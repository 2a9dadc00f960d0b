"""All keys in memory: who a credential belongs to, and what its holder is told when it belongs to nobody."""

from __future__ import annotations

import msgspec
import pytest
from tests.identity.process import Clock

from penstock.identity.keyring import Keyring
from penstock.identity.model import Key
from penstock.identity.secret import digest, new_secret
from penstock.identity.store import Changes, SecretRow
from penstock.kernel.errors import Unauthenticated
from penstock.kernel.events import Events, KeyRevoked
from penstock.kernel.principal import Limits, Scope


def a_key(number: int = 1, *, expires_at: float | None = None, revoked_at: float | None = None) -> Key:
    return Key(
        id=f"key_{number:032x}",
        name=f"key {number}",
        organisation="org_home",
        team=None,
        project=None,
        person=None,
        scopes=(Scope.CALL,),
        models=("gpt-*",),
        tasks=(),
        limits=Limits(concurrency=3),
        last4="last",
        state="live",
        created_at=1.0,
        created_by=None,
        expires_at=expires_at,
        revoked_at=revoked_at,
        last_used_at=None,
        previous_until=None,
    )


class Ring:
    """A keyring, its time, and the ids of keys that it published as revoked."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.revoked: list[str] = []
        events = Events()
        events.subscribe(KeyRevoked, lambda event: self.revoked.append(event.key_id))
        self.ring = Keyring(events, self.clock)
        self._version = 0

    def apply(self, *held: tuple[Key, list[tuple[str, float | None]]], whole: bool = False, names: dict[str, str] | None = None) -> None:
        """Take in keys, each with its secrets and their ends."""
        self._version += 1
        secrets = [SecretRow(digest(text), key.id, text[-4:], 1.0, end) for key, held_by in held for text, end in held_by]
        self.ring.apply(Changes(self._version, whole, "org_home", names or {}, [key for key, _ in held], secrets, []))

    def refusal(self, credential: str | None) -> str:
        """The code with which a credential is refused; empty when it is not."""
        try:
            self.ring.authenticate(credential)
        except Unauthenticated as fault:
            assert not credential or credential not in fault.message  # noqa: PT017 - no refusal repeats what it refuses
            return fault.code
        return ""


def test_a_secret_stands_for_its_keys_terms() -> None:
    ring, secret = Ring(), new_secret()
    ring.apply((a_key(), [(secret, None)]))
    who = ring.ring.authenticate(secret)
    assert (who.key_id, who.name, who.home, who.models, who.limits.concurrency) == (a_key().id, "key 1", True, ("gpt-*",), 3)
    assert who is ring.ring.authenticate(secret) is ring.ring.holder(digest(secret))
    assert ring.refusal(secret[:-1]) == ring.refusal(secret + "x") == "invalid_api_key"
    assert ring.refusal(None) == ring.refusal("") == "missing_api_key"


def test_what_is_wrong_with_a_key_is_told() -> None:
    ring, gone, over, old, new = Ring(), new_secret(), new_secret(), new_secret(), new_secret()
    soon = ring.clock.now + 60
    ring.apply((a_key(1), [(gone, None)]), (a_key(2, expires_at=soon), [(over, None)]), (a_key(3), [(old, soon), (new, None)]))
    assert [ring.refusal(s) for s in (gone, over, old, new)] == [""] * 4
    ring.apply((a_key(1, revoked_at=ring.clock.now), [(gone, None)]))
    ring.clock.now = soon
    assert [ring.refusal(s) for s in (gone, over, old, new)] == ["revoked_api_key", "expired_api_key", "expired_api_key", ""]
    with pytest.raises(Unauthenticated, match="replaced by a rotation"):
        ring.ring.authenticate(old)
    with pytest.raises(Unauthenticated, match="'key 2' has expired"):
        ring.ring.authenticate(over)
    assert [ring.ring.holder(digest(s)) for s in (gone, over, old)] == [None] * 3


def test_a_revocation_is_published_once_and_only_for_keys_that_lived_here() -> None:
    ring, one, two = Ring(), new_secret(), new_secret()
    ring.apply((a_key(1), [(one, None)]))
    ring.apply((a_key(1, revoked_at=5.0), [(one, None)]), (a_key(2, revoked_at=5.0), [(two, None)]))
    ring.apply((a_key(1, revoked_at=5.0), [(one, None)]))
    assert ring.revoked == [a_key(1).id]


def test_a_change_touches_the_keys_that_it_names_and_a_whole_one_all() -> None:
    ring, one, two, three = Ring(), new_secret(), new_secret(), new_secret()
    ring.apply((a_key(1), [(one, None)]), (a_key(2), [(two, None)]))
    ring.apply((a_key(1), [(three, None)]))
    assert [ring.refusal(s) for s in (one, two, three)] == ["invalid_api_key", "", ""]
    ring.apply((a_key(2), [(two, None)]), whole=True)
    assert [ring.refusal(s) for s in (one, two, three)] == ["invalid_api_key", "", "invalid_api_key"]


def test_what_a_key_is_worth_now_is_told_without_using_it() -> None:
    ring, first, second = Ring(), new_secret(), new_secret()
    end = ring.clock.now + 10
    ring.apply((a_key(1), [(first, end), (second, None)]), (a_key(2, expires_at=end), [(new_secret(), None)]))
    assert [found and found.key_id for found in map(ring.ring.standing, (a_key(1).id, a_key(2).id, "unknown"))] == [
        a_key(1).id,
        a_key(2).id,
        None,
    ]
    assert ring.ring.used == {}
    ring.clock.now = end
    assert [ring.ring.standing(key) is not None for key in (a_key(1).id, a_key(2).id)] == [True, False]
    ring.apply((a_key(1, revoked_at=end), [(second, None)]))
    assert ring.ring.standing(a_key(1).id) is None


def test_names_are_known_by_id() -> None:
    ring = Ring()
    ring.apply(names={"org_home": "Default"})
    ring.apply(names={"team_1": "Platform"})
    assert [ring.ring.name(id) for id in ("org_home", "team_1", "team_2", None)] == ["Default", "Platform", "team_2", "—"]


def test_keys_are_measured_by_state() -> None:
    ring, secrets = Ring(), [new_secret() for _ in range(5)]
    end = ring.clock.now + 10
    ring.apply(
        (a_key(1), [(secrets[0], end), (secrets[1], None)]),
        (a_key(2, expires_at=end), [(secrets[2], None)]),
        (a_key(3, revoked_at=1.0), [(secrets[3], None)]),
    )
    ring.clock.now = end
    (metric,) = ring.ring.metrics()
    assert {labels["state"]: value for labels, value in metric.samples} == {"live": 1, "expired": 1, "revoked": 1}


def test_who_has_left() -> None:
    """A person all of whose keys have ended; of who never had one nobody knows."""
    ring, first, second = Ring(), new_secret(), new_secret()
    theirs = [msgspec.structs.replace(a_key(n), person="ada") for n in (1, 2)]
    soon = ring.clock.now + 60
    ring.apply((theirs[0], [(first, None)]), (theirs[1], [(second, soon)]))
    assert [ring.ring.has_left("org_home", who) for who in ("ada", "bea")] == [False, False]
    ring.apply((msgspec.structs.replace(theirs[0], revoked_at=ring.clock.now), [(first, None)]))
    assert not ring.ring.has_left("org_home", "ada")
    ring.clock.now = soon
    assert ring.ring.has_left("org_home", "ada")
    assert not ring.ring.has_left("org_other", "ada")
