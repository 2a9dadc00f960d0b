"""Who is told of requests: programs by signed webhooks, people by e-mail. Written in the transaction that makes the event and sent
afterwards, as often as it takes; a receiver knows a second one by its id."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from penstock.agents.inbox.model import Request
from penstock.agents.inbox.settings import InboxSettings, MailSettings, WebhookSettings
from penstock.agents.tables import NOTICES
from penstock.kernel.sending import MailServer, Sent, mail, post
from penstock.kernel.signing import signature
from penstock.storage.records import Records

if TYPE_CHECKING:
    import aiohttp

FIRST_WAIT, LONGEST_WAIT = 5.0, 3600.0
BATCH = 64
MAILED = frozenset({"opened", "escalated"})
"""Events that people get an e-mail of; programs hear of all."""
WORDS = {
    "opened": "needs an answer",
    "escalated": "still needs an answer, and may be answered by you now",
    "approved": "was approved",
    "rejected": "was rejected",
    "answered": "was answered",
    "expired": "has expired",
    "revoked": "was approved, and that was taken back",
    "closed": "needs no answer any more: its run has ended",
}


class Notices:
    """The outbox, and how it is emptied."""

    def __init__(
        self,
        records: Records,
        settings: InboxSettings,
        environ: Mapping[str, str],
        *,
        home: Callable[[], str] = lambda: "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._settings = settings
        self._home = home
        self._clock = clock
        self._secrets = {
            name: environ.get(one.secret_env, "")
            for name, one in (*_named("webhook", settings.webhooks), *_named("mail", settings.mail))
            if one.secret_env
        }
        self._session: aiohttp.ClientSession | None = None

    @property
    def lacks(self) -> list[str]:
        """Variables that the settings name and that are not set."""
        named = (*self._settings.webhooks.values(), *self._settings.mail.values())
        return sorted({one.secret_env for one in named if one.secret_env and one.secret_env not in self._set})

    @property
    def _set(self) -> set[str]:
        channels = dict((*_named("webhook", self._settings.webhooks), *_named("mail", self._settings.mail)))
        return {channels[name].secret_env for name, secret in self._secrets.items() if secret}

    def tell(self, connection: Connection, request: Request, event: str, at: float) -> None:
        """Put an event into the outbox for each who is told; the same one twice is put there once."""
        for channel in self._channels(request.organisation, event):
            id = f"notice_{request.id}_{event}_{int(at * 1000):x}_{channel}"
            body = msgspec.json.encode(self._event(id, request, event, at)).decode()
            row = {"id": id, "number": time.time_ns(), "organisation": request.organisation, "request": request.id, "channel": channel}
            row |= {"event": body, "state": "waiting", "attempts": 0, "next_at": at, "created_at": at, "fault": ""}
            if connection.execute(select(NOTICES.c.id).where(NOTICES.c.id == id)).first() is None:
                connection.execute(insert(NOTICES).values(row))

    async def deliver(self) -> int:
        """Send what is due, the first of each request and channel; how many arrived."""
        now, arrived = self._clock(), 0
        for row in await self._records.read(lambda connection: _due(connection, now)):
            sent = await self._send(row["id"], row["channel"], msgspec.json.decode(row["event"]))
            arrived += sent.ok
            await self._records.write(lambda connection, row=row, sent=sent: self._took(connection, row, sent))
        return arrived

    async def standing(self) -> dict[str, int]:
        """How many notices there are by state."""
        asked = select(NOTICES.c.state, func.count()).group_by(NOTICES.c.state)
        found = await self._records.read(lambda connection: connection.execute(asked).all())
        return {row[0]: row[1] for row in found}

    async def forget(self, before: float) -> int:
        """Drop what arrived, or was given up, before a moment; how many."""
        old = delete(NOTICES).where(NOTICES.c.state != "waiting", NOTICES.c.created_at < before)
        return await self._records.write(lambda connection: connection.execute(old).rowcount)

    async def close(self) -> None:
        """Let go of connections; what was not sent is sent by whoever is next."""
        if self._session is not None:
            await self._session.close()

    def _channels(self, organisation: str, event: str) -> list[str]:
        named = [*_named("webhook", self._settings.webhooks), *(_named("mail", self._settings.mail) if event in MAILED else ())]
        home = self._home()
        return [name for name, one in named if _wants(one.organisations, organisation, home)]

    def _event(self, id: str, one: Request, event: str, at: float) -> dict[str, Any]:
        """A CloudEvent. It holds no argument and no text of a run: whoever is told looks at the inbox, which asks them who they are."""
        proposal = one.proposal
        return {
            "specversion": "1.0",
            "id": id,
            "source": "/penstock/agents",
            "type": f"penstock.request.{event}",
            "subject": one.id,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)),
            "datacontenttype": "application/json",
            "data": {
                "request": one.id,
                "organisation": one.organisation,
                "kind": one.kind,
                "run": one.run,
                "agent": one.agent,
                "tool": proposal.tool if proposal is not None else "",
                "effect": proposal.effect if proposal is not None else "",
                "digest": one.digest,
                "needs": one.need.told() if proposal is not None else "an answer",
                "expires_at": one.expires_at,
                "link": f"{self._settings.public_url.rstrip('/')}/console/inbox/{one.id}",
            },
        }

    async def _send(self, id: str, channel: str, event: dict[str, Any]) -> Sent:
        kind, _, name = channel.partition(":")
        seconds = self._settings.send_seconds
        if kind == "webhook" and (hook := self._settings.webhooks.get(name)) is not None:
            if hook.secret_env and not self._secrets.get(channel):
                return Sent(False, f"the variable {hook.secret_env} is not set")
            body, at = msgspec.json.encode(event), int(self._clock())
            headers = {"content-type": "application/cloudevents+json; charset=utf-8", "webhook-id": id, "webhook-timestamp": str(at)}
            if hook.secret_env:
                headers["webhook-signature"] = signature(self._secrets[channel], id, at, body)
            return await post(self._open(), hook.url, body, {**headers, "user-agent": "penstock"}, seconds)
        if kind == "mail" and (box := self._settings.mail.get(name)) is not None:
            server = MailServer(url=box.url, user=box.user, secret=self._secrets.get(channel, ""), tls=box.tls)
            return await mail(server, _mail(id, event, box), box.sender, box.to, seconds)
        return Sent(False, "the settings name it no more", gone=True)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp  # here only once something is to be sent

            timeout = aiohttp.ClientTimeout(total=self._settings.send_seconds)
            self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
        return self._session

    def _took(self, connection: Connection, row: Mapping[str, Any], sent: Sent) -> None:
        attempts, now = row["attempts"] + 1, self._clock()
        values: dict[str, Any] = {"attempts": attempts, "fault": sent.fault[:500]}
        if sent.ok:
            values["state"] = "delivered"
        elif sent.gone or now - row["created_at"] > self._settings.give_up_hours * 3600:
            values["state"] = "failed"
        else:
            values["next_at"] = now + max(sent.wait, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempts - 1, 20)))
        connection.execute(update(NOTICES).where(NOTICES.c.id == row["id"], NOTICES.c.state == "waiting").values(values))


def _named(kind: str, channels: Mapping[str, Any]) -> list[tuple[str, WebhookSettings | MailSettings]]:
    return [(f"{kind}:{name}", one) for name, one in channels.items()]


def _wants(whose: tuple[str, ...], organisation: str, home: str) -> bool:
    return "*" in whose or organisation in whose or (not whose and organisation in ("", home))


def _due(connection: Connection, now: float) -> list[dict[str, Any]]:
    """Of each request and channel the first that waits, where its time has come."""
    n = NOTICES.c
    first = select(func.min(n.number).label("number")).where(n.state == "waiting").group_by(n.request, n.channel).subquery()
    asked = select(NOTICES).join(first, first.c.number == n.number).where(n.state == "waiting", n.next_at <= now).order_by(n.number)
    return [dict(row) for row in connection.execute(asked.limit(BATCH)).mappings()]


def _mail(id: str, event: dict[str, Any], box: MailSettings) -> EmailMessage:
    """In plain text, and nothing in it that a model or a stranger wrote: names of agents and tools are the installation's own."""
    data, what = event["data"], WORDS.get(event["type"].rpartition(".")[2], "has changed")
    domain = box.sender.rpartition("@")[2].strip("> ") or "penstock"
    who = data["agent"] or "A run"
    subject = f"{who} wants to call {data['tool']}" if data["kind"] == "approval" else f"{who} asks"
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = box.sender, ", ".join(box.to), f"{subject}: it {what}"
    made["Message-ID"], made["Date"] = f"<{id}@{domain}>", formatdate()
    made["References"] = f"<{data['request']}@{domain}>"
    lines = [f"{subject}. It {what}.", "", f"Needs: {data['needs']}", f"Until: {formatdate(data['expires_at'])}", f"Run: {data['run']}"]
    if data["digest"]:
        lines.append(f"SHA-256 of the call: {data['digest']}")
    made.set_content("\n".join([*lines, "", f"See what it is and answer: {data['link']}", ""]))
    return made
