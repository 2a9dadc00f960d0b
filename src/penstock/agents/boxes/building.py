"""The tools of a toolbox of the settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, assert_never

from penstock.agents.boxes.settings import (
    AuthSettings,
    Box,
    FilesBox,
    HttpBox,
    MailBox,
    MailboxSettings,
    McpBox,
    OpenApiBox,
    SandboxBox,
    SqlBox,
)
from penstock.agents.mcp.consents import ConsentTerms
from penstock.agents.mcp.servers import Terms
from penstock.agents.toolbox import (
    Auth,
    Mailbox,
    McpServer,
    OAuth,
    code,
    email_send,
    files,
    http,
    http_send,
    mailbox,
    mcp,
    openapi,
    sql,
    sql_write,
)
from penstock.agents.tools import Tool


def built(name: str, box: Box) -> list[Tool[..., Any]]:
    """Its tools. Nothing is connected to, but for an OpenAPI document that is fetched. Raises `SettingsError`, ValueError and OSError."""
    match box:
        case SqlBox():
            return _sql(name, box)
        case HttpBox():
            return _http(name, box)
        case OpenApiBox():
            return openapi(
                box.spec,
                auth=box.auth,
                server=box.server,
                operations=box.operations,
                effects=box.effects,
                honours_key=box.honours_key,
                prefix=f"{name}_" if box.prefix is None else box.prefix,
                private=box.private,
                seconds=box.seconds,
                most_bytes=box.most_bytes,
            )
        case MailBox():
            return _mail(name, box)
        case FilesBox():
            if not Path(box.folder).is_dir():
                raise ValueError(f"there is no folder {box.folder}")
            return files(box.folder, name=name, write=box.write, most_bytes=box.most_bytes, seconds=box.seconds)
        case SandboxBox():
            return code(
                name=name,
                seconds=box.seconds,
                cpu_seconds=box.cpu_seconds,
                memory_mib=box.memory_mib,
                processes=box.processes,
                scratch_mib=box.scratch_mib,
                output_bytes=box.output_bytes,
                packages=box.packages,
            )
        case McpBox():
            terms = terms_of(name, box)
            return mcp(terms.server, box.pins, trusted=box.believe, effects=box.effects, prefix=terms.prefix, most_bytes=box.most_bytes)
        case _:
            assert_never(box)


def terms_of(name: str, box: McpBox) -> Terms:
    """An MCP server, and how its tools are taken."""
    oauth = box.oauth
    server = McpServer(
        name=name,
        command=box.command,
        url=box.url,
        env=box.env,
        folder=box.folder,
        headers=box.headers,
        oauth=None
        if oauth is None
        else OAuth(issuer=oauth.issuer, client_id=oauth.client_id, client_secret=oauth.client_secret, scope=oauth.scope),
        log=box.log or os.devnull,
        seconds=box.seconds,
        read_bytes=box.read_bytes,
    )
    prefix = f"{name}_" if box.prefix is None else box.prefix
    given = box.consent
    consent = (
        None
        if given is None
        else ConsentTerms(issuer=given.issuer, client_id=given.client_id, client_secret=given.client_secret, scope=given.scope)
    )
    return Terms(server=server, trusted=box.believe, effects=box.effects, prefix=prefix, most_bytes=box.most_bytes, consent=consent)


def _sql(name: str, box: SqlBox) -> list[Tool[..., Any]]:
    made = sql(
        box.url,
        name=name,
        rows=box.rows,
        most_bytes=box.most_bytes,
        seconds=box.seconds,
        schema=box.schema or None,
        role_reads_only=box.role_reads_only,
    )
    if box.write:
        url = box.write_url or box.url
        made += sql_write(url, name=f"{name}_write", effect=box.effect, seconds=box.seconds, rows=box.rows, once=box.once)
    return made


def _http(name: str, box: HttpBox) -> list[Tool[..., Any]]:
    auth, private, seconds, most = _auth(box.auth), box.private, box.seconds, box.most_bytes
    made = http(hosts=box.hosts, name=name, auth=auth, private=private, seconds=seconds, most_bytes=most)
    if box.send:
        made += http_send(
            hosts=box.hosts,
            name=f"{name}_send",
            auth=auth,
            effect=box.effect,
            honours_key=box.honours_key,
            private=private,
            seconds=seconds,
            most_bytes=most,
        )
    return made


def _auth(given: AuthSettings | None) -> Auth | None:
    return None if given is None else Auth(secret=given.secret, kind=given.kind, name=given.name, user=given.user)


def _mail(name: str, box: MailBox) -> list[Tool[..., Any]]:
    made: list[Tool[..., Any]] = []
    inbox = box.mailbox
    if box.server:
        sent = None if inbox is None or not inbox.sent else _mailbox(inbox, (inbox.sent,))
        made += email_send(
            box.server,
            sender=box.sender,
            user=box.user,
            password=box.password,
            security=box.security,
            port=box.port,
            allowed=box.allowed,
            sent=sent,
            name=f"{name}_send",
            seconds=box.seconds,
        )
    if inbox is not None:
        made += mailbox(_mailbox(inbox, inbox.folders), name=name, rows=inbox.rows)
    return made


def _mailbox(given: MailboxSettings, folders: tuple[str, ...]) -> Mailbox:
    return Mailbox(
        server=given.server,
        user=given.user,
        password=given.password,
        security=given.security,
        port=given.port,
        folders=folders,
        seconds=given.seconds,
    )
