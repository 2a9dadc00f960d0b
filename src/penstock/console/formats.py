"""How the console writes numbers and times: the template filters.

Every filter takes `None` for "not known" and writes an em dash, so that a missing figure never reads as zero.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

UNKNOWN = "—"
MICROS = 1_000_000
"""Micro-units in one unit of currency: what the ledger counts in."""

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}


def money(micros: float | None, currency: str = "USD") -> str:
    """Write an amount in micro-units of `currency`: `12_300` is `$0.0123`.

    A unit or more is written to the cent. Below that, three significant digits are kept, never fewer than two decimals, because one
    call often costs a hundredth of a cent. A currency without a known symbol is written as `12.30 CHF`. Averages are rounded to the
    micro-unit; what is less than half of one is written `<$0.000001` rather than nothing.
    """
    if micros is None:
        return UNKNOWN
    size = round(abs(micros))
    if size == 0:
        number = "0" if micros == 0 else "0.000001"
    elif size >= MICROS:
        number = f"{size / MICROS:,.2f}"
    else:
        # 1 micro-unit has its first digit at decimal 6, 100_000 at decimal 1.
        decimals = min(6, 6 - len(str(size)) + 3)
        whole, _, fraction = f"{size / MICROS:.{decimals}f}".partition(".")
        number = f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
    sign = "" if micros == 0 else "<" if size == 0 else "−" if micros < 0 else ""
    symbol = _SYMBOLS.get(currency)
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency}"


def duration(milliseconds: float | None) -> str:
    """Write a length of time in milliseconds with the unit that suits it: `0.42 ms`, `128 ms`, `3.41 s`, `2 m 05 s`, `1 h 03 m`."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < 0:
        return f"−{duration(-milliseconds)}"
    # Each limit is where the unit's own rounding would reach the next one, so that 999.6 is "1.00 s" and not "1000 ms".
    if milliseconds < 0.0005:
        return "0 ms"
    if milliseconds < 9.995:
        return f"{milliseconds:.2f} ms"
    if milliseconds < 99.95:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} m"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02d} h"


def count(number: float | None) -> str:
    """Write a whole number in full with thousands separators: `1,234,567`."""
    return UNKNOWN if number is None else f"{number:,.0f}".replace("-", "−")


def counted(number: int, one: str, many: str = "") -> str:
    """Write how many there are of what ``one`` names: `1 call`, `2 calls`; ``many`` where an s does not make the plural."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def compact(number: float | None) -> str:
    """Write a number in at most four digits and a letter: `9,480`, `12.3k`, `4.56M`, `1.2B`. Fractions below 100 keep one decimal."""
    if number is None:
        return UNKNOWN
    size = abs(number)
    sign = "−" if number < 0 else ""
    if size < 9_999.5:
        whole = float(number).is_integer() or size >= 100
        return f"{sign}{size:,.0f}" if whole else f"{sign}{size:.1f}"
    for limit, divisor, letter in ((999_500, 1e3, "k"), (999_500_000, 1e6, "M"), (float("inf"), 1e9, "B")):
        if size < limit:
            scaled = size / divisor
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return f"{sign}{scaled:,.{digits}f}{letter}"
    return f"{sign}∞"


def percent(fraction: float | None, digits: int = 1) -> str:
    """Write a fraction of one as a percentage: `0.0234` is `2.3%`. What is small but not nothing is `<0.1%`, never `0.0%`."""
    if fraction is None:
        return UNKNOWN
    value = fraction * 100
    least = 10.0**-digits
    if 0 < value < least / 2:
        return f"<{least:.{digits}f}%"
    if 100 - least / 2 < value < 100:
        return f">{100 - least:.{digits}f}%"
    text = f"{value:.{digits}f}"
    return f"{text.removesuffix('.' + '0' * digits)}%"


def score(number: float | None) -> str:
    """Write a score between 0 and 1 to two digits: `0.87`."""
    return UNKNOWN if number is None else f"{number:.2f}".replace("-", "−")


def as_datetime(moment: datetime | float | None) -> datetime | None:
    """Return `moment` as an aware UTC time. A number is seconds since 1970; a time without a zone is taken to be UTC."""
    if moment is None:
        return None
    if isinstance(moment, datetime):
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return datetime.fromtimestamp(moment, UTC)


def iso(moment: datetime | float | None) -> str:
    """Write a time as RFC 3339 in UTC to the millisecond, for `<time datetime>` and for machines."""
    when = as_datetime(moment)
    return UNKNOWN if when is None else when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(moment: datetime | float | None) -> str:
    """Write a time as `2026-11-21 09:41:07 UTC`: what is shown before, or without, the browser's own zone."""
    when = as_datetime(moment)
    return UNKNOWN if when is None else when.strftime("%Y-%m-%d %H:%M:%S UTC")


def ago(moment: datetime | float | None, now: datetime | float | None = None) -> str:
    """Write how long ago, or how far ahead, a time is: `just now`, `12 s ago`, `3 h ago`, `in 5 d`. `now` defaults to the clock."""
    when = as_datetime(moment)
    if when is None:
        return UNKNOWN
    present = as_datetime(now) or datetime.now(UTC)
    seconds = (present - when).total_seconds()
    size = abs(seconds)
    if size < 2:
        return "just now"
    for limit, divisor, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400 * 2, 3600, "h"), (float("inf"), 86_400, "d")):
        if size < limit:
            amount = f"{int(size // divisor)} {unit}"
            return f"{amount} ago" if seconds > 0 else f"in {amount}"
    return UNKNOWN


def share(part: float | None, whole: float | None) -> float:
    """Return `part / whole` held between 0 and 1, for bars and meters. Unknown or empty wholes give 0."""
    if part is None or not whole:
        return 0.0
    return min(1.0, max(0.0, part / whole))


def ticks(whole: float, most: int = 5) -> list[tuple[float, str]]:
    """Return where to mark an axis from 0 to `whole` milliseconds, as shares of it and words: round lengths, at most `most` after 0."""
    if whole <= 0:
        return [(0.0, "0")]
    power = 10.0 ** math.floor(math.log10(whole / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if whole / (power * factor) <= most)
    # A sum of steps drifts (0.30000000000000004), and a mark a hair beyond the end would be lost.
    return [(min(1.0, i * step / whole), _short(i * step)) for i in range(int(whole / step + 1e-9) + 1)]


def _short(milliseconds: float) -> str:
    """A round length without needless zeros: `0`, `0.2 ms`, `500 ms`, `1.5 s`, `2 min`."""
    if milliseconds == 0:
        return "0"
    if milliseconds < 1000:
        return f"{milliseconds:.4g} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1000:.4g} s"
    return f"{milliseconds / 60_000:.4g} min"


def initials(name: str) -> str:
    """Return one or two capital letters for an avatar: `Ada Lovelace` is `AL`, `ci-runner` is `CR`, nothing is `?`."""
    words = [word for word in name.replace("-", " ").replace("_", " ").replace(".", " ").split() if word[0].isalnum()]
    if not words:
        return "?"
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


FILTERS = {
    "money": money,
    "duration": duration,
    "count": count,
    "counted": counted,
    "compact": compact,
    "percent": percent,
    "score": score,
    "iso": iso,
    "clock": clock,
    "ago": ago,
    "share": share,
    "initials": initials,
    "ticks": ticks,
}
"""Template filter name to function."""
