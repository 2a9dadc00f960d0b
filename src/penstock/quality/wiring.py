"""How the parts of quality are put together."""

from __future__ import annotations

from penstock.kernel.capability import House, Offer
from penstock.quality.life import QualityLife
from penstock.quality.routes import routes


def wire(house: House) -> Offer:
    """Build quality inside ``house``."""
    life = QualityLife(house)
    return Offer(
        routes=routes(life.datasets, life.evaluations),
        services=(life,),
        metrics=(life,),
    )
