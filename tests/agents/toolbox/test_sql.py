"""Questions to databases, and what they may not do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from tests.agents.toolbox.calling import call, named, outcome
from tests.conftest import drop_database, fresh_database

from penstock.agents.toolbox import sql, sql_write
from penstock.kernel.errors import SettingsError

ORDERS = (
    "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers (id), cents INTEGER)",
    "CREATE VIEW dear AS SELECT * FROM orders WHERE cents > 500",
    "INSERT INTO customers VALUES (1, 'Ann'), (2, 'Bob')",
    "INSERT INTO orders VALUES (1, 1, 300), (2, 1, 700), (3, 2, 900)",
)
ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


def fill(url: str, *more: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in (*ORDERS, *more):
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('shop') / 'shop.db'}"
    fill(url)
    return url


@pytest.fixture(scope="module")
def postgres_role(postgres_server: str) -> Iterator[str]:
    """A database, as its owner, who is no superuser, sees it."""
    owner = fresh_database(postgres_server)
    url = owner.replace("postgresql://", "postgresql+psycopg://")
    role = f"clerk_{make_url(url).database}"
    fill(
        url,
        f"CREATE ROLE {role} LOGIN PASSWORD 'secret-of-clerk'",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT CREATE ON SCHEMA public TO {role}",
    )
    yield make_url(owner).set(username=role, password="secret-of-clerk").render_as_string(hide_password=False)
    drop_database(postgres_server, owner)


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("lite" if request.param == "sqlite" else "postgres_role")


async def test_question(shop: str) -> None:
    query = named(sql(shop), "sql_query")
    found = await call(
        query,
        statement="SELECT name, cents FROM orders JOIN customers c ON c.id = customer WHERE cents > :least ORDER BY 2",
        parameters={"least": 400},
    )
    assert (found.columns, found.rows, found.more) == (["name", "cents"], [["Ann", 700], ["Bob", 900]], "")
    assert (await call(query, statement="SELECT 'a:b %s' AS x")).rows == [["a:b %s"]]


async def test_schema(shop: str) -> None:
    schema = named(sql(shop), "sql_schema")
    assert await call(schema) == {"tables": ["customers", "orders"], "views": ["dear"]}
    found = await call(schema, table="orders")
    assert [one["name"] for one in found["columns"]] == ["id", "customer", "cents"]
    assert found["key"] == ["id"]
    assert found["references"] == [{"columns": ["customer"], "to": "customers", "its": ["id"]}]
    assert "there is no table nowhere" in (await outcome(schema, table="nowhere")).text


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM orders",
        "UPDATE orders SET cents = 0",
        "INSERT INTO customers VALUES (9, 'Eve')",
        "DROP TABLE orders",
        "CREATE TABLE mine (x INTEGER)",
        "CREATE TEMP TABLE mine (x INTEGER)",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone",
        "SELECT 1; DELETE FROM orders",
        "COMMIT; DELETE FROM orders",
        "/* SELECT */ DELETE FROM orders",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "ATTACH DATABASE '/tmp/other.db' AS other",
        "VACUUM INTO '/tmp/copy.db'",
        "SELECT load_extension('x')",
        "SET TRANSACTION READ WRITE",
        "SET default_transaction_read_only = off",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "COPY orders TO PROGRAM 'cat'",
        "DO $$ BEGIN DELETE FROM orders; END $$",
        "SELECT 1) TO STDOUT; DELETE FROM orders; --",
    ],
)
async def test_nothing_is_written(shop: str, statement: str) -> None:
    query = named(sql(shop), "sql_query")
    told = await outcome(query, statement=statement)
    assert (told.state, told.code) == ("failed", "tool_failed")
    assert "sql_failed" in told.text
    assert (await call(query, statement="SELECT count(*), sum(cents) FROM orders")).rows == [[3, 1900]]


async def test_function_that_writes(postgres_role: str, lite: str) -> None:
    """A function of the database runs in the transaction of the question, which writes nothing."""
    (change,) = sql_write(postgres_role)
    body = "CREATE FUNCTION wipe() RETURNS integer LANGUAGE sql AS 'DELETE FROM orders; SELECT 1'"
    await call(change, statement=body)
    told = await outcome(named(sql(postgres_role), "sql_query"), statement="SELECT wipe()")
    assert "read-only transaction" in told.text


async def test_limits(shop: str) -> None:
    few = named(sql(shop, rows=2), "sql_query")
    found = await call(few, statement="SELECT * FROM orders")
    assert (len(found.rows), found.more) == (2, "there are more than 2 rows; ask for less, or for sums")
    small = named(sql(shop, most_bytes=20), "sql_query")
    found = await call(small, statement="SELECT * FROM orders")
    assert len(found.rows) == 2
    assert "more than 20 bytes" in found.more
    long = "replace(hex(zeroblob(5000)), '0', 'x')" if shop.startswith("sqlite") else "repeat('x', 10000)"
    (cell,) = (await call(few, statement=f"SELECT {long}")).rows[0]
    assert cell.endswith("[6000 more characters]")


async def test_endless_question(shop: str) -> None:
    told = await outcome(named(sql(shop, seconds=0.3), "sql_query"), statement=ENDLESS)
    assert told.state == "failed"
    assert "sql_timeout: the statement took longer than 0.3 s" in told.text


async def test_value_that_fills_memory(lite: str) -> None:
    told = await outcome(named(sql(lite), "sql_query"), statement="SELECT zeroblob(1000000000)")
    assert "too big" in told.text


async def test_changing_once(shop: str) -> None:
    (change,) = sql_write(shop, once="calls_made", effect="write")
    assert (change.effect, change.honours_key) == ("write", True)
    given = {"statement": "UPDATE customers SET name = name || :s WHERE id = 2", "parameters": {"s": "!"}}
    assert (await call(change, "run/call/7", **given)).changed == 1
    assert (await call(change, "run/call/7", **given)).changed == 1
    query = named(sql(shop), "sql_query")
    assert (await call(query, statement="SELECT name FROM customers WHERE id = 2")).rows == [["Bob!"]]
    assert (await outcome(change, statement="UPDATE nowhere SET x = 1")).state == "failed"
    undo = {"statement": "UPDATE customers SET name = 'Bob' WHERE id = 2 RETURNING name"}
    assert (await call(change, "run/call/8", **undo)).rows == [["Bob"]]


async def test_changing_stays_in_its_file(lite: str, tmp_path: Path) -> None:
    (change,) = sql_write(lite)
    assert (change.effect, change.honours_key) == ("irreversible", False)
    told = await outcome(change, statement=f"ATTACH DATABASE '{tmp_path / 'new.db'}' AS other")
    assert told.state == "failed"
    assert not list(tmp_path.iterdir())


async def test_limit_lifted_by_the_question_itself(postgres_role: str) -> None:
    """The limit of the session counts for each part of the rows; a question may lift it for those after its first."""
    query = named(sql(postgres_role, seconds=1.0), "sql_query")
    slow = (
        "SELECT set_config('statement_timeout', '0', false), n, CASE WHEN n > 20 THEN pg_sleep(30) END FROM generate_series(1, 50) AS t(n)"
    )
    began = time.monotonic()
    told = await outcome(query, statement=slow)
    assert (told.state, "sql_timeout" in told.text) == ("failed", True), told
    assert time.monotonic() - began < 20


async def test_superuser(postgres_server: str) -> None:
    told = await outcome(named(sql(postgres_server), "sql_query"), statement="SELECT pg_read_file('/etc/passwd')")
    assert "give the tool a role of its own" in told.text


async def test_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = await outcome(named(sql(f"sqlite:///{tmp_path / 'none.db'}"), "sql_query"), statement="SELECT 1")
    assert told.code == "tool_unavailable"
    monkeypatch.setenv("SHOP_URL", "postgresql://clerk:hidden-word@127.0.0.1:1/shop")
    told = await outcome(named(sql("env:SHOP_URL"), "sql_query"), statement="SELECT 1")
    assert told.code == "tool_unavailable"
    assert "hidden-word" not in json.dumps(told.text)


@pytest.mark.parametrize("url", ["mysql+mysqldb://shop", "postgresql+psycopg2://shop", "nonsense", "oracle+nothing://x"])
def test_not_to_be_kept_from_writing(url: str) -> None:
    with pytest.raises(SettingsError):
        sql(url)


async def test_missing_reference() -> None:
    told = await outcome(named(sql("env:NOT_SET_ANYWHERE"), "sql_query"), statement="SELECT 1")
    assert "NOT_SET_ANYWHERE is not set" in told.text
