"""What the stand-in says at the support desk: it decides by what its tools told it, like a model would, only always the same way."""

from __future__ import annotations

import json
import re
from typing import Any

from examples.stand_in import Call, Conversation, Said, Script

ORDER = (
    "SELECT o.number, o.item, o.cents, o.delivered, c.name, c.email FROM orders o JOIN customers c ON c.id = o.customer"
    " WHERE o.number = :number"
)


def desk(said: Conversation) -> Said:
    """Ticket, order, refund where something arrived broken, mail, and a line for the log."""
    ticket = re.search(r"T-\d+", said.asked)
    if ticket is None:
        return "That names no ticket."
    read = said.results("read_ticket")
    if not read:
        return Call("read_ticket", {"number": ticket[0]})
    order = re.search(r"\d{4}-\d+", read[0]["text"]) if isinstance(read[0], dict) else None
    if order is None:
        return f"{ticket[0]}: it names no order; a person has to look at it."
    found = said.results("shop_query")
    if not found:
        return Call("shop_query", {"statement": ORDER, "parameters": {"number": order[0]}})
    number, item, cents, delivered, name, email = found[0]["rows"][0]
    broken = "broken" in read[0]["text"]
    refunds = said.results("refund")
    if broken and delivered and not refunds:
        return Call("refund", {"order": number, "cents": cents, "reason": f"{item} arrived broken"})
    told = _told(item, cents, refunds)
    if not said.results("email_send"):
        return Call(
            "email_send", {"to": [email], "subject": f"Your order {number}", "text": f"Dear {name},\n\n{told}\n\nYour support desk\n"}
        )
    return f"{ticket[0]}: {told}"


def _told(item: str, cents: int, refunds: list[Any]) -> str:
    if not refunds:
        return f"your {item.lower()} is on its way."
    if isinstance(refunds[0], dict):
        return f"we are sorry that your {item.lower()} arrived broken. You have {cents / 100:.2f} EUR back."
    return f"we are sorry about your {item.lower()}. A colleague looks at it and will write to you."


def checker(said: Conversation) -> Said:
    """Agree to what stands in the database's answer, up to 500 EUR."""
    proposal: dict[str, Any] = json.loads(said.asked[said.asked.index("{") :])
    database = {one["number"] for one in proposal["read"] if one["name"] == "shop_query"}
    stands = {one["path"]: database.intersection(one["stands_in"]) for one in proposal["arguments"] if isinstance(one["stands_in"], list)}
    amount = (proposal["amount"] or {}).get("value")
    known = bool(stands.get("order") and stands.get("cents"))
    agrees = known and amount is not None and amount <= 500
    why = "that is more than 500 EUR" if known else "the database does not say so"
    return json.dumps({"approve": agrees, "note": f"{amount:.2f} EUR, as the database has it" if agrees else why})


SCRIPTS: dict[str, Script] = {"desk": desk, "checker": checker}
