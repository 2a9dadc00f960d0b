"""Tasks in memory: an organisation's own come before the shared ones."""

from __future__ import annotations

from tests.tasks.people import declared

from penstock.kernel.tasks import Task
from penstock.tasks.declaration import task_of
from penstock.tasks.memory import Known


def task(organisation: str, name: str, *, shared: bool = False, owner: str = "a") -> Task:
    return task_of(organisation, name, declared(owner=owner), shared=shared)


def test_before_anything_is_read_there_is_no_task() -> None:
    known = Known()
    assert (known.find("a", "t"), known.version, known.all("a"), known.all()) == (None, 0, (), [])


def test_an_organisations_own_task_comes_before_the_shared_one() -> None:
    known = Known()
    shared, own, other = task("home", "t", shared=True), task("a", "t"), task("b", "u")
    known.apply({"t": shared}, [own, other])
    assert known.find("a", "t") is own
    assert known.find("b", "t") is shared
    assert known.find("a", "u") is None
    assert [one.organisation for one in known.all("a")] == ["a"]
    assert [(one.name, one.organisation) for one in known.all("b")] == [("t", "home"), ("u", "b")]
    assert len(known.all()) == 3


def test_only_a_change_is_one() -> None:
    known = Known()
    assert known.apply({}, [])
    assert not known.apply({}, [])
    assert known.version == 1
    assert known.apply({}, [task("a", "t")])
    assert not known.apply({}, [task("a", "t")])
    assert known.apply({}, [task("a", "t", owner="b")])
    assert known.apply({}, [])
    assert known.find("a", "t") is None
    assert known.version == 4
