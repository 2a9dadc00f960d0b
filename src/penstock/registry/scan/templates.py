"""Chat templates are programs in Jinja that come with the weights: this reads them, never renders them.

Some programs render them outside a sandbox (CVE-2024-34359), so whatever reaches for attributes by computed or underscored names, calls
``format`` on texts or loads other templates is refused. Ordinary templates of published models need none of it.
"""

from __future__ import annotations

import re

from penstock.registry.scan.report import Refused

LONGEST = 1_000_000
_OWN_TAGS = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
_FILTERS = frozenset({"attr", "format", "map", "selectattr", "rejectattr", "groupby", "sort", "unique", "sum", "min", "max"})
_METHODS = frozenset(
    {"format", "format_map", "mro", "func_globals", "gi_frame", "gi_code", "cr_frame", "ag_frame", "f_globals", "tb_frame"}
)


def read_template(text: str) -> None:
    """Raise `Refused` when the template does anything but put messages together."""
    # Jinja takes a tenth of a second to import; the command line has no use for it until something is scanned.
    from jinja2 import Environment, TemplateSyntaxError, nodes

    if len(text) > LONGEST:
        raise Refused("template_unsafe", f"a chat template of {len(text)} characters is not read")
    # It is parsed and never rendered, so nothing is escaped or run here.
    parser = Environment(extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"], autoescape=True)
    try:
        tree = parser.parse(_OWN_TAGS.sub("", text))
    except (TemplateSyntaxError, RecursionError) as fault:
        raise Refused("template_unsafe", f"the chat template cannot be read: {str(fault)[:120]}") from fault
    for node in tree.find_all(nodes.Node):
        match node:
            case nodes.Import() | nodes.FromImport() | nodes.Include() | nodes.Extends():
                _no("loads another template")
            case nodes.Getattr(attr=name) if name.startswith("_") or name in _METHODS:
                _no(f"reads the attribute {name!r}")
            case nodes.Getitem(arg=nodes.Concat() | nodes.Add() | nodes.Mod() | nodes.Filter() | nodes.Call() as arg) if any(
                isinstance(one.value, str) for one in arg.find_all(nodes.Const)
            ):
                _no("puts the name of an item together")
            case nodes.Getitem(arg=nodes.Const(value=str() as name)) if name.startswith("_") or name in _METHODS:
                _no(f"reads the item {name!r}")
            case nodes.Filter(name=name) if name == "attr" or (name in _FILTERS and _underscored(node)):
                _no(f"uses the filter {name!r} to reach attributes")
            case nodes.Const(value=str() as value) if "__" in value or "\\x5f" in value:
                _no("holds the name of one of Python's insides")
            case nodes.Name(name=name) if name.startswith("__") or name in ("cycler", "joiner", "lipsum", "self"):
                _no(f"uses {name!r}, from which Python's insides are reached")
            case _:
                pass


def _underscored(node: object) -> bool:
    from jinja2 import nodes

    assert isinstance(node, nodes.Filter)
    given = [*node.args, *(keyword.value for keyword in node.kwargs)]
    return any(not isinstance(one, nodes.Const) or (isinstance(one.value, str) and one.value.startswith("_")) for one in given)


def _no(what: str) -> None:
    raise Refused("template_unsafe", f"the chat template {what}")
