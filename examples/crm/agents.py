"""The clerk. Its tools are the CRM's own operations, taken from its OpenAPI document.

``CRM_URL`` says where the CRM is, ``CLERK_MODEL`` what to ask.
"""

from __future__ import annotations

import os

from examples.crm.server import document
from penstock.agents import Agent, Limits
from penstock.agents.toolbox import openapi

INSTRUCTIONS = """You keep the CRM of a small company. You are given the note of a call with a customer.
Find the contact. Set what the note says of them: a phone number, and the stage (lead, talking, won, lost). Add the note itself, in one
or two sentences and without what is nobody's business. If no contact or more than one fits, change nothing and say so."""

clerk = Agent(
    "crm-clerk",
    model=os.environ.get("CLERK_MODEL", "stand-in/clerk"),
    description="Brings the CRM up to date with the note of a call.",
    instructions=INSTRUCTIONS,
    # What a note changes can be set right again, so the clerk may do it by itself: a POST counts as irreversible where nothing is said.
    tools=openapi(document(), server=os.environ.get("CRM_URL", "http://127.0.0.1:8098"), effects={"add_note": "write"}, private=True),
    limits=Limits(usd=0.10, turns=10, seconds=600),
)
