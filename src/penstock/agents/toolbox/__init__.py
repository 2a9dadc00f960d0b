"""Built-in tools: factories whose tools are given to agents, each with its effect, its limits and what keeps it within them."""

from __future__ import annotations

from penstock.agents.named import Toolbox, toolbox
from penstock.agents.toolbox.email import email_send, mailbox
from penstock.agents.toolbox.files import files
from penstock.agents.toolbox.http import http, http_send
from penstock.agents.toolbox.imap import Mailbox
from penstock.agents.toolbox.mcp_client import McpServer, OAuth
from penstock.agents.toolbox.mcp_tools import mcp
from penstock.agents.toolbox.openapi import openapi
from penstock.agents.toolbox.sandbox import code
from penstock.agents.toolbox.schedule import schedule
from penstock.agents.toolbox.sql import sql, sql_write
from penstock.agents.toolbox.web import Auth

__all__ = [
    "Auth",
    "Mailbox",
    "McpServer",
    "OAuth",
    "Toolbox",
    "code",
    "email_send",
    "files",
    "http",
    "http_send",
    "mailbox",
    "mcp",
    "openapi",
    "schedule",
    "sql",
    "sql_write",
    "toolbox",
]
