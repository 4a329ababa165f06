"""What can happen to a site that its people would want to hear of, laid over its visits."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from random import Random

from services.common.uuid7 import RANDOM_BITS, compose
from services.producer.simulate.draw import members
from tests.bench.visits import Rate, Sent, arrivals, event

Extra = Callable[[int, int, Rate, Random], Iterator[Sent]]


@dataclass(frozen=True)
class Incident:
    """What happens, and which alert is for it: visits times `factor`, without events of a type, with others added."""

    name: str
    alert: str
    factor: float = 1.0
    lost_event_type: str = ""
    adds: Extra | None = None


@dataclass(frozen=True)
class Happening:
    """An incident and its time."""

    incident: Incident
    since_ms: int
    until_ms: int

    def covers(self, at_ms: int) -> bool:
        """Whether it is under way."""
        return self.since_ms <= at_ms < self.until_ms


def changed_rate(rate: Rate, happenings: Iterable[Happening]) -> Rate:
    """A site's rate with the incidents."""
    factors = [happening for happening in happenings if happening.incident.factor != 1]

    def changed(at_ms: int) -> float:
        factor = 1.0
        for happening in factors:
            factor *= happening.incident.factor if happening.covers(at_ms) else 1
        return rate(at_ms) * factor

    return changed


def changed_events(sent: Iterator[Sent], rate: Rate, happenings: Iterable[Happening]) -> Iterator[Sent]:
    """A site's events with the incidents."""
    happenings = list(happenings)
    losses = [
        (happening, f'"event_type":"{happening.incident.lost_event_type}"'.encode())
        for happening in happenings
        if happening.incident.lost_event_type
    ]
    kept = (one for one in sent if not any(loss.covers(one.at_ms) and sign in one.value for loss, sign in losses))
    extras = (
        happening.incident.adds(happening.since_ms, happening.until_ms, rate, Random(number))
        for number, happening in enumerate(happenings)
        if happening.incident.adds
    )
    return merge(kept, chain.from_iterable(extras))


def _visits_of(times_usual: float, **fields: str) -> Extra:
    """Visits of one page view each, beside the usual ones."""

    def extra(since_ms: int, until_ms: int, rate: Rate, draw: Random) -> Iterator[Sent]:
        for at_ms in arrivals(since_ms, until_ms, lambda at_ms: times_usual * rate(at_ms), draw):
            yield _one(at_ms, draw, event_type="page_view", **fields)

    return extra


def _robot(since_ms: int, until_ms: int, _: Rate, draw: Random) -> Iterator[Sent]:
    """Somebody who clicks five times a second for a minute, every ten minutes."""
    for start_ms in range(since_ms, until_ms, 600_000):
        session_id = compose(start_ms, draw.getrandbits(RANDOM_BITS))
        for at_ms in range(start_ms, start_ms + 60_000, 200):
            yield _one(at_ms, draw, session_id=session_id, event_type="click", page_path="/", element="hero-banner")


def _carts_by_robots(since_ms: int, until_ms: int, rate: Rate, draw: Random) -> Iterator[Sent]:
    """As many products put into carts as there are visits: ten times the usual number."""
    for at_ms in arrivals(since_ms, until_ms, rate, draw):
        yield _one(at_ms, draw, event_type="add_to_cart", page_path="/product/1", product_id="P-1", quantity=1)


def _one(at_ms: int, draw: Random, session_id: str | None = None, **fields: object) -> Sent:
    visitor_id = f"guest-{draw.getrandbits(40):x}"
    session_id = session_id or compose(at_ms, draw.getrandbits(RANDOM_BITS))
    who = {"session_id": session_id, "visitor_id": visitor_id, "device_type": "desktop"}
    return Sent(at_ms, visitor_id.encode(), event(at_ms, members(**fields, **who)[1:] + b"}", draw))


INCIDENTS = (
    Incident("no visits at all", "ActivityUnusual", factor=0),
    Incident("a third of the visits", "ActivityUnusual", factor=1 / 3),
    Incident("twice the visits", "ActivityUnusual", factor=2),
    Incident("three times the visits", "ActivityUnusual", factor=3),
    Incident("robots fill carts", "ActivityUnusual", adds=_carts_by_robots),
    Incident("purchases are not tracked", "ConversionCollapsed", lost_event_type="purchase"),
    Incident(
        "an article goes round",
        "PageDominates",
        adds=_visits_of(2, page_path="/blog/odd", referrer="https://a.example/"),
    ),
    Incident(
        "spam from one site", "SourceDominates", adds=_visits_of(1.5, page_path="/", referrer="https://spam.example/")
    ),
    Incident("a robot clicks", "VisitorTooFast", adds=_robot),
)
