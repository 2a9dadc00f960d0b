"""The published list prices, in the compact form that is shipped: who charges what for which model, since when.

The list is generated from the `genai-prices` package (MIT licence, Pydantic Services), which follows the vendors' price pages; importing
that package costs half a second of CPU, so the start never does. Names are matched by the package's own rules, which the list carries:
first a provider by id or rule, then its models in order, then those of the providers it resells.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

SHIPPED = Path(__file__).parent / "data" / "prices.json"
REFRESHED_NAME = "prices.json"
"""File in the data folder that ``penstock ledger refresh-prices`` writes."""

Rate = int | tuple[int, tuple[tuple[int, int], ...]]
"""Micro-units per million; or such a base and tiers: above this many input tokens, this price for all of them."""


class Match(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule for names; exactly one field is set. Case does not matter, except that a regex sees the name in lower case."""

    starts_with: str | None = None
    ends_with: str | None = None
    contains: str | None = None
    regex: str | None = None
    equals: str | None = None
    any: tuple[Match, ...] | None = None
    all: tuple[Match, ...] | None = None

    def fits(self, name: str) -> bool:
        """Whether the rule accepts ``name``, which is in lower case."""
        if self.equals is not None:
            return name == self.equals.lower()
        if self.starts_with is not None:
            return name.startswith(self.starts_with.lower())
        if self.ends_with is not None:
            return name.endswith(self.ends_with.lower())
        if self.contains is not None:
            return self.contains.lower() in name
        if self.regex is not None:
            return re.search(self.regex, name) is not None
        if self.any is not None:
            return any(rule.fits(name) for rule in self.any)
        return all(rule.fits(name) for rule in self.all or ())


class ListPrice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Prices in US dollars under one condition: since a day (UTC), or daily between two times (UTC, the end not included).

    None where the vendor publishes no separate price. ``beyond`` names published prices for what a call's usage does not tell
    apart (web searches, pages, one-hour cache writes): they are not charged.
    """

    since: datetime.date | None = None
    daily: tuple[datetime.time, datetime.time] | None = None
    input: Rate | None = None
    output: Rate | None = None
    cached: Rate | None = None
    cache_written: Rate | None = None
    reasoning: Rate | None = None
    audio_input: Rate | None = None
    audio_output: Rate | None = None
    request: Rate | None = None
    image_input: Rate | None = None
    image_output: Rate | None = None
    images: Rate | None = None
    audio_hours: Rate | None = None
    characters: Rate | None = None
    searches: Rate | None = None
    beyond: tuple[str, ...] = ()

    def active(self, moment: datetime.datetime) -> bool:
        """Whether the condition holds at ``moment`` (UTC)."""
        if self.since is not None:
            return moment.date() >= self.since
        if self.daily is not None:
            start, end = self.daily
            now = moment.time()
            return start <= now < end if start <= end else now >= start or now < end
        return True


class ListedModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model and its prices: the last one whose condition holds counts, the first one when none does. ``context`` is in tokens, 0 where
    the list does not tell it."""

    id: str
    match: Match
    prices: tuple[ListPrice, ...]
    context: int = 0

    def price(self, moment: datetime.datetime) -> ListPrice | None:
        """The price at ``moment`` (UTC), None when the list knows the model and no price."""
        for price in reversed(self.prices):
            if price.active(moment):
                return price
        return self.prices[0] if self.prices else None

    def next_change(self, moment: datetime.datetime) -> float:
        """Unix seconds of the next moment at which another price may hold; infinity when none will."""
        changes = [float("inf")]
        midnight = datetime.datetime.combine(moment.date(), datetime.time(), datetime.UTC)
        for price in self.prices:
            if price.since is not None and price.since > moment.date():
                changes.append(datetime.datetime.combine(price.since, datetime.time(), datetime.UTC).timestamp())
            for time in price.daily or ():
                at = midnight.replace(hour=time.hour, minute=time.minute, second=time.second)
                changes.append((at if at > moment else at + datetime.timedelta(days=1)).timestamp())
        return min(changes)


class ListedProvider(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider, the rule for its other names, its models, and the ids of providers whose models it resells at their prices."""

    id: str
    name: str
    match: Match | None = None
    resells: tuple[str, ...] = ()
    models: tuple[ListedModel, ...] = ()


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    """All published prices of one version of the source."""

    source: str
    version: str
    providers: tuple[ListedProvider, ...]

    def provider(self, name: str) -> ListedProvider | None:
        """The provider with this id, or else the first whose rule accepts the name."""
        name = name.lower().strip()
        for provider in self.providers:
            if provider.id == name:
                return provider
        for provider in self.providers:
            if provider.match is not None and provider.match.fits(name):
                return provider
        return None

    def find(self, provider_name: str, model: str) -> tuple[ListedProvider, ListedModel] | None:
        """The entry for a provider's model, and the provider whose list it stands on. None when the list does not have it."""
        provider = self.provider(provider_name)
        if provider is None:
            return None
        name = model.lower()
        # Some gateways write dates without dashes (gpt-5.2-20251211); the list has them with dashes. Tried second, as the source does.
        for wanted in dict.fromkeys((name, _dashed(name))):
            for seller in (provider, *(p for i in provider.resells for p in self.providers if p.id == i)):
                for listed in seller.models:
                    if listed.match.fits(wanted):
                        return seller, listed
        return None


def load(data_dir: Path | None = None) -> PriceList:
    """The shipped list, or the refreshed one in ``data_dir`` when that is newer."""
    shipped = read(SHIPPED)
    refreshed = data_dir / REFRESHED_NAME if data_dir is not None else None
    if refreshed is not None and refreshed.is_file():
        newer = read(refreshed)
        if version_key(newer.version) > version_key(shipped.version):
            return newer
    return shipped


def read(file: Path) -> PriceList:
    """Decode one list. Raises `msgspec.DecodeError` when the file is not one."""
    return msgspec.json.decode(file.read_bytes(), type=PriceList)


def version_key(version: str) -> tuple[int, ...]:
    """A release number such that later ones compare greater; what is not a number is left out."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def write(prices: PriceList, file: Path) -> None:
    """One provider a line, so that a diff between two versions can be read; replaced in one step."""
    lines: Iterable[str] = (msgspec.json.encode(p).decode() for p in prices.providers)
    head = f'"source":{msgspec.json.encode(prices.source).decode()},"version":{msgspec.json.encode(prices.version).decode()}'
    new = file.with_suffix(".new")
    new.write_text("{" + head + ',"providers":[\n' + ",\n".join(lines) + "\n]}\n", "utf-8")
    new.replace(file)


_COMPACT_DATE = re.compile(r"(-)(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


def _dashed(name: str) -> str:
    def rewrite(found: re.Match[str]) -> str:
        year, month, day = (int(found.group(i)) for i in (2, 3, 4))
        try:
            datetime.date(year, month, day)
        except ValueError:
            return found.group(0)
        return f"-{year:04d}-{month:02d}-{day:02d}"

    return _COMPACT_DATE.sub(rewrite, name)
