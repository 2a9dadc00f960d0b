"""What two questions must share whatever their similarity says: numbers, negations, comparisons and names (English).

An embedding hardly moves when a number changes or a *not* comes in, and the answer does. So the signs of both are compared letter by
letter: in some microseconds, erring on the side of a miss.
"""

from __future__ import annotations

import hashlib
import re

_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBERS = {
    **{word: str(i) for i, word in enumerate(_UNITS.split())},
    **{word: str(20 + 10 * i) for i, word in enumerate(_TENS.split())},
    "hundred": "100", "thousand": "1000", "million": "1000000", "billion": "1000000000", "dozen": "12",
    "half": "1/2", "halves": "1/2", "third": "1/3", "thirds": "1/3", "quarter": "1/4", "quarters": "1/4",
    "once": "1x", "twice": "2x", "double": "2x", "doubled": "2x", "thrice": "3x", "triple": "3x", "tripled": "3x",
}  # fmt: skip
_NEGATIONS = frozenset({"no", "not", "never", "none", "nothing", "nobody", "neither", "nor", "cannot", "without", "except", "unless"})
_COMPARING = "more less fewer most least before after above below increase increased decrease decreased first last minimum maximum"
_COMPARISONS = frozenset(_COMPARING.split())
_ENDS = ".!?:\n"
_SPEAKER = frozenset({"i", "i'm", "i've", "i'd", "i'll"})
_TOKEN = re.compile(r"[$€£]?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?|[A-Za-z][A-Za-z'’]*|[.!?:\n]")
_WORD_START = re.compile(r"[A-Za-z]")
DIGEST = 12


def signs(text: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The numbers of a text in their order, its negations and comparisons, and the names in it (words written large inside a sentence)."""
    numbers: list[str] = []
    turns: list[str] = []
    names: set[str] = set()
    begins = True
    for token in _TOKEN.findall(text):
        if not _WORD_START.match(token):
            if token in _ENDS:
                begins = True
                continue
            numbers.append(token.strip("$€£").replace(",", ""))
        else:
            word = token.replace("’", "'").lower()
            if (number := _NUMBERS.get(word)) is not None:
                numbers.append(number)
            elif word in _NEGATIONS or word.endswith("n't"):
                turns.append("not")
            elif word in _COMPARISONS:
                turns.append(word)
            elif not begins and token[0].isupper() and word not in _SPEAKER:
                names.add(word.removesuffix("'s"))
        begins = False
    return tuple(numbers), tuple(sorted(turns)), tuple(sorted(names))


def wording_of(text: str) -> bytes:
    """A digest of the signs of a text: equal for two texts that name the same."""
    return hashlib.blake2b(repr(signs(text)).encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()
