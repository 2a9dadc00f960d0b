"""The console's icons: drawn for it, 16 by 16, in strokes of the text's colour."""

from __future__ import annotations

from markupsafe import Markup

ICONS: dict[str, str] = {
    "overview": '<path d="M2.5 13.5v-5m3.7 5v-9m3.6 9V7m3.7 6.5v-11"/>',
    "health": '<path d="M1.5 8.5h3l1.8-5 3.2 9.5 1.8-4.5h3.2"/>',
    "calls": '<path d="M2.5 4h11M2.5 8h7.5M2.5 12h9"/><circle cx="13" cy="8" r=".6" fill="currentColor"/>',
    "traces": '<path d="M2 3.5h7M4.5 8h7M7 12.5h7"/>',
    "threads": '<path d="M2.5 3h8v5.5h-5L2.5 11V3Z"/><path d="M12 6.5h1.5v7L11 11.5H7"/>',
    "live": '<path d="M2 8h2.5l2-5 3 10 2-5H14"/>',
    "playground": '<path d="M3 3.5h10a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1H8l-3 2.5v-2.5H3a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1Z"/>'
    '<path d="m6.5 6-1.5 1.5L6.5 9m3-3L11 7.5 9.5 9"/>',
    "keys": '<circle cx="5" cy="11" r="2.8"/><path d="m7 9 6-6m-2.5 2.5 2 2m-4-0 1.5 1.5"/>',
    "limits": '<path d="M2.5 11.5a5.7 5.7 0 1 1 11 0"/><path d="m8 10.5 2.8-4"/><circle cx="8" cy="10.8" r="1"/>',
    "budgets": '<rect x="2" y="4" width="12" height="9" rx="1.5"/><path d="M2 7h12M11 10.3h.8"/>',
    "models": '<path d="m8 2 5.5 3v6L8 14l-5.5-3V5L8 2Z"/><path d="m2.5 5 5.5 3 5.5-3M8 8v6"/>',
    "tasks": '<path d="m2.5 4.5 1.2 1.2 2.3-2.4M2.5 11l1.2 1.2 2.3-2.4M8.5 5h5m-5 6.5h5"/>',
    "runs": '<circle cx="4" cy="4" r="1.7"/><circle cx="12" cy="12" r="1.7"/><path d="M5.7 4H10a2 2 0 0 1 0 4H6a2 2 0 0 0 0 4h4.3"/>',
    "people": '<circle cx="6" cy="5.5" r="2.3"/>'
    '<path d="M2 13.5c0-2.5 1.7-4 4-4s4 1.5 4 4M10.5 3.5a2.2 2.2 0 0 1 0 4.2m1 2.1c1.6.5 2.5 1.8 2.5 3.7"/>',
    "shield": '<path d="M8 2 3 4v4c0 3 2 5 5 6 3-1 5-3 5-6V4L8 2Z"/><path d="m6 8 1.5 1.5L10.3 6.5"/>',
    "book": '<path d="M3 3.5A1.5 1.5 0 0 1 4.5 2H13v10H4.5A1.5 1.5 0 0 0 3 13.5v-10Z"/><path d="M3 13.5A1.5 1.5 0 0 0 4.5 14H13v-2"/>',
    "gear": '<circle cx="8" cy="8" r="2.2"/><path d="M8 1.8v2m0 8.4v2M1.8 8h2m8.4 0h2M3.6 3.6 5 5m6 6 1.4 1.4m0-8.8L11 5m-6 6-1.4 1.4"/>',
    "alert": '<path d="M8 2.5 14.3 13H1.7L8 2.5Z"/><path d="M8 6.5v3M8 11.2v.1"/>',
    "check": '<path d="m3 8.5 3.2 3.2L13 4.8"/>',
    "cross": '<path d="m4 4 8 8m0-8-8 8"/>',
    "search": '<circle cx="7" cy="7" r="4.3"/><path d="m10.3 10.3 3.2 3.2"/>',
    "menu": '<path d="M2.5 4.5h11M2.5 8h11m-11 3.5h11"/>',
    "sun": '<circle cx="8" cy="8" r="2.8"/>'
    '<path d="M8 1.5v1.6m0 9.8v1.6M1.5 8h1.6m9.8 0h1.6M3.4 3.4l1.1 1.1m7 7 1.1 1.1m0-9.2-1.1 1.1m-7 7-1.1 1.1"/>',
    "moon": '<path d="M13.5 9.7A5.8 5.8 0 0 1 6.3 2.5a5.8 5.8 0 1 0 7.2 7.2Z"/>',
    "screen": '<rect x="2" y="3" width="12" height="8" rx="1.2"/><path d="M6 13.5h4M8 11v2.5"/>',
    "help": '<circle cx="8" cy="8" r="6"/><path d="M6.3 6.3a1.8 1.8 0 1 1 2.5 1.9c-.5.2-.8.6-.8 1.2M8 11.3v.1"/>',
    "copy": '<rect x="5.5" y="5.5" width="8" height="8" rx="1.3"/>'
    '<path d="M10.5 5.5v-2A1 1 0 0 0 9.5 2.5h-6a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1h2"/>',
    "play": '<path d="M5 3.2v9.6L12.5 8 5 3.2Z"/>',
    "stop": '<rect x="4" y="4" width="8" height="8" rx="1.2"/>',
    "pause": '<path d="M5.5 3.5v9m5-9v9"/>',
    "plus": '<path d="M8 3v10M3 8h10"/>',
    "trash": '<path d="M2.5 4.5h11M6 4.5V3a.7.7 0 0 1 .7-.7h2.6A.7.7 0 0 1 10 3v1.5m2.2 0-.6 8.3a1 1 '
    '0 0 1-1 .9H5.4a1 1 0 0 1-1-.9l-.6-8.3"/>',
    "refresh": '<path d="M13.5 8a5.5 5.5 0 1 1-1.7-4M13.5 2v3h-3"/>',
    "exit": '<path d="M6 2.5H3.5a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1H6M10.5 11l3-3-3-3m3 3H6"/>',
    "left": '<path d="M10 3.5 5.5 8l4.5 4.5"/>',
    "right": '<path d="M6 3.5 10.5 8 6 12.5"/>',
    "down": '<path d="M3.5 6 8 10.5 12.5 6"/>',
    "up": '<path d="M3.5 10 8 5.5l4.5 4.5"/>',
    "filter": '<path d="M2.5 4h11M4.5 8h7m-5 4h3"/>',
    "download": '<path d="M8 2.5v8m-3-3 3 3 3-3m-8.5 5h11"/>',
    "clock": '<circle cx="8" cy="8" r="6"/><path d="M8 4.5V8l2.3 1.6"/>',
    "link": '<path d="M9.5 3h3.5v3.5M13 3 7.5 8.5M11.5 9.5v2.5a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V5.5a1 1 0 0 1 1-1h2.5"/>',
    "info": '<circle cx="8" cy="8" r="6"/><path d="M8 7.3v3.7M8 5v.1"/>',
    "inbox": '<path d="m2 9 2-5.5h8L14 9v3.5a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V9Z"/><path d="M2 9h3.5l1 2h3l1-2H14"/>',
    "spark": '<path d="M8 2v3.5M8 10.5V14M2 8h3.5m5 0H14M4 4l2 2m4 4 2 2m0-8-2 2m-4 4-2 2"/>',
}
"""Name to the inside of an SVG with a `0 0 16 16` view box."""


def icon(name: str, label: str = "") -> Markup:
    """Return an icon as inline SVG.

    With a label it is an image of that name to assistive technology; without, it is decoration beside words that say the same.
    Raises `KeyError` for an unknown name.
    """
    hearing = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="icon" viewBox="0 0 16 16" width="16" height="16" {}>{}</svg>').format(hearing, Markup(ICONS[name]))  # noqa: S704 - a constant of this file
