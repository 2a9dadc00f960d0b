"""Toolboxes in the settings: a kind each, with its limits; what is secret is named, not given."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

Changing = Literal["write", "irreversible"]
AnyEffect = Literal["read", "write", "irreversible"]
Reference = Annotated[str, Meta(pattern="^((env|file):.+)?$", description="`env:NAME` or `file:/path`.")]
Seconds = Annotated[float, Meta(gt=0, le=3600)]
Bytes = Annotated[int, Meta(ge=1024, le=16 * 2**20)]


class SqlBox(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="sql"):
    """A database: `NAME_query` and `NAME_schema`, which only read, and with `write` also `NAME_write`."""

    url: Annotated[
        str, Meta(min_length=1, description="SQLAlchemy URL, or `env:NAME` or `file:/path` that holds one; one with a password has to.")
    ]
    write: Annotated[bool, Meta(description="Also a tool that changes it.")] = False
    write_url: Annotated[str, Meta(description="The same for the role that changes it; empty: `url`.")] = ""
    effect: Annotated[Changing, Meta(description="What a change counts as.")] = "irreversible"
    once: Annotated[str, Meta(description="Table in which changes are written down, so that one in doubt is made again; empty: none.")] = ""
    rows: Annotated[int, Meta(ge=1, le=100_000, description="Most rows of an answer.")] = 200
    most_bytes: Annotated[Bytes, Meta(description="Most bytes of an answer.")] = 65_536
    seconds: Annotated[Seconds, Meta(description="Longest time of a statement; then the database is told to stop.")] = 10.0
    schema: Annotated[str, Meta(description="Schema whose tables are listed; empty: the usual one.")] = ""
    role_reads_only: Annotated[bool, Meta(description="The role of another database than SQLite and PostgreSQL can only read.")] = False

    def __post_init__(self) -> None:
        for given in (self.url, self.write_url):
            if not given.startswith(("env:", "file:")) and _password(given):
                raise ValueError("a URL with a password is given as env:NAME or file:/path, not as it is")


class AuthSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a tool signs in."""

    secret: Annotated[str, Meta(pattern="^(env|file):.+$", description="`env:NAME` or `file:/path`, read at each call.")]
    kind: Annotated[Literal["bearer", "basic", "header", "query"], Meta(description="Where the secret goes.")] = "bearer"
    name: Annotated[str, Meta(description="Name of the header, or of the parameter.")] = ""
    user: Annotated[str, Meta(description="User, for `basic`.")] = ""

    def __post_init__(self) -> None:
        if self.kind in ("header", "query") and not self.name:
            raise ValueError(f"the kind {self.kind} needs the name under which the secret is sent")


class HttpBox(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="http"):
    """Addresses: `NAME_get` reads, and with `send` there is `NAME_send`, which changes something."""

    hosts: Annotated[tuple[str, ...], Meta(description="Hosts that may be asked; empty: every public one, where nobody signs in.")] = ()
    auth: Annotated[AuthSettings | None, Meta(description="How it signs in.")] = None
    send: Annotated[bool, Meta(description="Also a tool that sends.")] = False
    effect: Annotated[Changing, Meta(description="What sending counts as.")] = "irreversible"
    honours_key: Annotated[bool, Meta(description="The hosts do nothing twice under one `Idempotency-Key`.")] = False
    private: Annotated[bool, Meta(description="Also addresses that are not public, and sign-in without TLS.")] = False
    seconds: Annotated[Seconds, Meta(description="Longest time of an exchange.")] = 30.0
    most_bytes: Annotated[Bytes, Meta(description="Most bytes of an answer.")] = 65_536

    def __post_init__(self) -> None:
        if (self.send or self.auth is not None) and not self.hosts:
            raise ValueError("a toolbox that sends or signs in needs its hosts")


class OpenApiBox(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="openapi"):
    """An API by its OpenAPI document, which is read at start: a tool for each operation."""

    spec: Annotated[str, Meta(min_length=1, description="The document: a file, or an address.")]
    server: Annotated[str, Meta(description="Address of the API; empty: the document's first.")] = ""
    auth: Annotated[dict[str, Reference], Meta(description="The secret of each security scheme: `env:NAME` or `file:/path`.")] = field(
        default_factory=dict[str, Reference]
    )
    operations: Annotated[tuple[str, ...], Meta(description="Operations by their id; empty: all.")] = ()
    effects: Annotated[dict[str, AnyEffect], Meta(description="Corrects what an operation's method says of its effect.")] = field(
        default_factory=dict[str, AnyEffect]
    )
    honours_key: Annotated[tuple[str, ...], Meta(description="Operations that do nothing twice under one `Idempotency-Key`.")] = ()
    prefix: Annotated[str | None, Meta(description="How the names of its tools begin; `NAME_` where it is left out.")] = None
    private: Annotated[bool, Meta(description="The API's address is not public.")] = False
    seconds: Annotated[Seconds, Meta(description="Longest time of an exchange.")] = 30.0
    most_bytes: Annotated[Bytes, Meta(description="Most bytes of an answer.")] = 65_536


class MailboxSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mailbox over IMAP."""

    server: Annotated[str, Meta(min_length=1, description="The IMAP server.")]
    user: Annotated[str, Meta(min_length=1, description="Its user.")]
    password: Annotated[str, Meta(pattern="^(env|file):.+$", description="`env:NAME` or `file:/path`.")]
    security: Annotated[Literal["whole", "start", "none"], Meta(description="TLS from the first byte, STARTTLS, or none.")] = "whole"
    port: Annotated[int, Meta(ge=0, le=65535, description="0 is the usual one.")] = 0
    folders: Annotated[tuple[str, ...], Meta(min_length=1, description="Folders that may be looked into.")] = ("INBOX",)
    sent: Annotated[str, Meta(description="Folder in which the server keeps what it sends: a mail in doubt is looked for there.")] = ""
    rows: Annotated[int, Meta(ge=1, le=500, description="Most mails that a search finds.")] = 50
    seconds: Annotated[Seconds, Meta(description="Longest time of an exchange.")] = 30.0


class MailBox(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="mail"):
    """E-mail: `NAME_send`, where there is a `server`, and `NAME_search` and `NAME_read`, where there is a `mailbox`."""

    server: Annotated[str, Meta(description="The SMTP server; empty: nothing is sent.")] = ""
    sender: Annotated[str, Meta(description="Address that mail comes from, as `Desk <desk@example.org>`.")] = ""
    user: Annotated[str, Meta(description="User at the SMTP server; empty for none.")] = ""
    password: Annotated[Reference, Meta(description="Password of that user: `env:NAME` or `file:/path`.")] = ""
    security: Annotated[Literal["start", "whole", "none"], Meta(description="STARTTLS, TLS from the first byte, or none.")] = "start"
    port: Annotated[int, Meta(ge=0, le=65535, description="0 is the usual one.")] = 0
    allowed: Annotated[tuple[str, ...], Meta(description="Patterns of addresses that it may go to, as `*@example.org`; empty: all.")] = ()
    seconds: Annotated[Seconds, Meta(description="Longest time of handing a mail over.")] = 60.0
    mailbox: Annotated[MailboxSettings | None, Meta(description="A mailbox that is looked into.")] = None

    def __post_init__(self) -> None:
        if not self.server and self.mailbox is None:
            raise ValueError("a mail toolbox has a server, a mailbox or both")
        if self.server and not self.sender:
            raise ValueError("a mail toolbox that sends needs its sender")


class FilesBox(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="files"):
    """The files of a folder: `NAME_list`, `NAME_read`, `NAME_search`, and with `write` also `NAME_write`."""

    folder: Annotated[str, Meta(min_length=1, description="The folder; it has to be there.")]
    write: Annotated[bool, Meta(description="Also a tool that writes files.")] = False
    most_bytes: Annotated[Bytes, Meta(description="Most bytes that are read or written at once.")] = 65_536
    seconds: Annotated[Seconds, Meta(description="Longest time of a call.")] = 20.0


class SandboxBox(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="sandbox"):
    """Python that can reach nothing: a tool `NAME`."""

    seconds: Annotated[Seconds, Meta(description="Longest time of a program.")] = 20.0
    cpu_seconds: Annotated[int, Meta(ge=1, le=3600, description="Most processor time.")] = 10
    memory_mib: Annotated[int, Meta(ge=32, description="Memory of all its processes together, in MiB.")] = 512
    processes: Annotated[int, Meta(ge=1, le=1000, description="Most processes and threads.")] = 16
    scratch_mib: Annotated[int, Meta(ge=1, description="Size of its scratch folder, in MiB.")] = 64
    output_bytes: Annotated[Bytes, Meta(description="Most bytes that it may print.")] = 65_536
    packages: Annotated[tuple[str, ...], Meta(description="Folders that it may import from.")] = ()


class SandboxesSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Programs of sandboxes, of all toolboxes and tools of one process together."""

    at_once: Annotated[int, Meta(ge=1, le=1000, description="Programs that run at once.")] = 4
    waiting: Annotated[int, Meta(ge=0, le=100_000, description="Calls that may wait for a place; others fail with `sandbox_busy`.")] = 32
    wait_seconds: Annotated[float, Meta(gt=0, le=3600, description="Longest time that a call waits for a place.")] = 30.0


class McpSignIn(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A client that an authorization server knows: the grant of client credentials."""

    issuer: Annotated[str, Meta(pattern="^https?://", description="The authorization server; tokens are asked of no other.")]
    client_id: Annotated[str, Meta(min_length=1, description="Id of the client.")]
    client_secret: Annotated[str, Meta(pattern="^(env|file):.+$", description="`env:NAME` or `file:/path`.")]
    scope: Annotated[str, Meta(description="Scopes that are asked for, with spaces between them.")] = ""


class ConsentSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Each person consents by themselves (OAuth 2.1), and calls are made with their tokens; `consent = {}` finds all of it out."""

    issuer: Annotated[
        str, Meta(pattern="^(https?://.+)?$", description="The authorization server; empty: the one that the MCP server names.")
    ] = ""
    client_id: Annotated[str, Meta(description="Id of a client that you registered there; empty: one is registered by itself.")] = ""
    client_secret: Annotated[Reference, Meta(description="Its secret, `env:NAME` or `file:/path`; empty for a public client.")] = ""
    scope: Annotated[str, Meta(description="Scopes that are asked for; empty: those that the server names.")] = ""


class McpBox(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="mcp"):
    """An MCP server: those of its tools that somebody trusted (docs/mcp-servers.md)."""

    command: Annotated[
        tuple[str, ...], Meta(description="A program that is started, and spoken to over its standard input and output.")
    ] = ()
    url: Annotated[str, Meta(pattern="^(https?://.+)?$", description="Or its address (streamable HTTP).")] = ""
    env: Annotated[dict[str, str], Meta(description="Environment of the program: values, `env:NAME` or `file:/path`.")] = field(
        default_factory=dict[str, str]
    )
    folder: Annotated[str, Meta(description="Folder in which the program is started; empty: this one.")] = ""
    log: Annotated[str, Meta(description="File that takes what the program says on standard error; empty: nothing is kept.")] = ""
    headers: Annotated[dict[str, str], Meta(description="Headers of each request: values, `env:NAME` or `file:/path`.")] = field(
        default_factory=dict[str, str]
    )
    oauth: Annotated[McpSignIn | None, Meta(description="Sign in as a client of its own.")] = None
    consent: Annotated[ConsentSettings | None, Meta(description="Or have each person consent.")] = None
    believe: Annotated[bool, Meta(description="Take what the server says of its tools' effects for true.")] = False
    effects: Annotated[dict[str, AnyEffect], Meta(description="What tools do to the world; what is not said cannot be undone.")] = field(
        default_factory=dict[str, AnyEffect]
    )
    pins: Annotated[
        str, Meta(description="File with the tools that are trusted; empty: they stand in the database (`/v1/agents/mcp`).")
    ] = ""
    prefix: Annotated[str | None, Meta(description="How the names of its tools begin; `NAME_` where it is left out.")] = None
    seconds: Annotated[Seconds, Meta(description="Longest time of connecting, and of a call.")] = 60.0
    most_bytes: Annotated[Bytes, Meta(description="Most bytes of an answer that a model is told.")] = 65_536
    read_bytes: Annotated[
        int, Meta(ge=4096, le=256 * 2**20, description="Most bytes of an answer that are read; the connection of a longer one is ended.")
    ] = 4 * 2**20

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ValueError("an MCP toolbox has a command or a url, one of both")
        if self.consent is not None and (self.oauth is not None or not self.url or self.pins):
            raise ValueError("people consent to what has a url, no oauth of its own, and pins in the database")


Box = SqlBox | HttpBox | OpenApiBox | MailBox | FilesBox | SandboxBox | McpBox


def _password(url: str) -> bool:
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return False
