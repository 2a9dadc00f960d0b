"""Generate the shipped list prices from the installed genai-prices package.

    python scripts/price_list.py          write src/penstock/finops/data/prices.json
    python scripts/price_list.py --check  say whether it is what the installed package gives

To move to newer prices: install the newer package, run this, read the diff (one provider a line), commit.
"""

from __future__ import annotations

import argparse
import sys

from penstock.finops.pricelist import SHIPPED, read, write
from penstock.finops.snapshot import build


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    prices = build()
    if parser.parse_args().check:
        if read(SHIPPED) == prices:
            print(f"{SHIPPED.name} is {prices.source} {prices.version}")
            return 0
        print(f"{SHIPPED.name} differs from {prices.source} {prices.version}: run this without --check", file=sys.stderr)
        return 1
    write(prices, SHIPPED)
    models = sum(len(p.models) for p in prices.providers)
    print(f"wrote {prices.source} {prices.version}: {models} models of {len(prices.providers)} providers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
