"""The security headers of every console page."""

from __future__ import annotations

from collections.abc import Mapping

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline and nothing from elsewhere: a page that shows strangers' prompts must not be able to run them.

Script and style come from static files, never from a `<script>` body, a `style` attribute or an `on...` attribute. Data blocks
(`<script type="application/json">`) are not script, so charts may carry their data in the page.
"""

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # Pages show prompts, replies and money of whoever is signed in: no cache may keep them.
    "Cache-Control": "no-store",
}
"""Sent with every page and fragment."""
