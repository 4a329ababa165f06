"""Who comes: a visitor's device and place never change, and who wanders in depends on the hour where they are.

A visitor is a number. All that is known of them follows from it, so that a million need no memory and the same people
come back in the next run.
"""

from dataclasses import dataclass

from faker import Faker

from services.producer.simulate.draw import Random01, Weighted, members
from services.producer.simulate.shop import SHOP_SEED

HOUR_MS = 3_600_000
CITIES_PER_COUNTRY = 12
REGISTERED_SHARE = 0.3
_MASK = (1 << 64) - 1
# How busy an hour of the local day is, midnight first; 1 is the busiest.
DAY_CURVE = (
    *(0.30, 0.19, 0.12, 0.09, 0.08, 0.11, 0.22, 0.38, 0.50, 0.57, 0.61, 0.64),
    *(0.70, 0.66, 0.61, 0.60, 0.63, 0.70, 0.80, 0.92, 1.00, 0.97, 0.78, 0.50),
)
# Locale of the city names, country, hours ahead of UTC, weight. Not it_IT: its cities come out of a set, in an order
# that changes from process to process.
_COUNTRIES = (
    ("en_US", "US", -6.0, 24),
    ("de_DE", "DE", 1.0, 17),
    ("en_GB", "GB", 0.0, 12),
    ("fr_FR", "FR", 1.0, 9),
    ("nl_NL", "NL", 1.0, 5),
    ("es_ES", "ES", 1.0, 5),
    ("de_AT", "AT", 1.0, 5),
    ("pl_PL", "PL", 1.0, 4),
    ("sv_SE", "SE", 1.0, 3),
    ("pt_BR", "BR", -3.0, 5),
    ("en_IN", "IN", 5.5, 5),
    ("en_AU", "AU", 10.0, 3),
    ("en_CA", "CA", -5.0, 3),
)
# Device, operating system, browser, weight, and how readily such a visitor buys.
_DEVICES = (
    ("mobile", "Android", "Chrome", 30, 0.6),
    ("mobile", "iOS", "Safari", 24, 0.7),
    ("mobile", "Android", "Samsung Internet", 4, 0.6),
    ("desktop", "Windows", "Chrome", 18, 1.3),
    ("desktop", "Windows", "Edge", 7, 1.2),
    ("desktop", "macOS", "Safari", 5, 1.5),
    ("desktop", "macOS", "Chrome", 4, 1.4),
    ("desktop", "Linux", "Firefox", 2, 1.0),
    ("tablet", "iPadOS", "Safari", 4, 1.0),
    ("tablet", "Android", "Chrome", 1, 0.8),
    ("other", "Tizen", "Samsung Internet", 1, 0.2),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A city, as JSON members."""

    about: bytes
    ahead_of_utc_ms: int


@dataclass(frozen=True, slots=True)
class Device:
    """A device, as JSON members; `appetite` is how readily its owner buys, about 1."""

    about: bytes
    appetite: float


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody; `about` is what every one of their events says of them, `home` where among the sites theirs is."""

    visitor_id: bytes
    about: bytes
    appetite: float
    home: float


class Visitors:
    """The people who know the shop, a few of whom come often."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._places = _places()
        self._devices = Weighted(
            [Device(members(device_type=kind, os=os, browser=name), buys) for kind, os, name, _, buys in _DEVICES],
            [weight for *_, weight, _ in _DEVICES],
        )

    def arrive(self, now_ms: int, draw: Random01) -> Visitor:
        """Someone for whom it is a likely hour to come."""
        while True:
            number = int(draw() ** 2 * self._count)
            bits = _mix(number)
            place = self._places.pick((bits & 0xFFFF) / 0x10000)
            if draw() < DAY_CURVE[(now_ms + place.ahead_of_utc_ms) // HOUR_MS % 24]:
                return self._know(bits, place)

    def _know(self, bits: int, place: Place) -> Visitor:
        device = self._devices.pick((bits >> 16 & 0xFFFF) / 0x10000)
        visitor_id = f"v{bits:016x}"
        registered = (bits >> 32 & 0xFFFF) < REGISTERED_SHARE * 0x10000
        user = f',"user_id":"u{_mix(bits):016x}"' if registered else ""
        about = f',"visitor_id":"{visitor_id}"{user}'.encode() + device.about + place.about
        appetite = device.appetite * (1.3 if registered else 1.0)
        return Visitor(visitor_id.encode(), about, appetite, (bits >> 48) / 0x10000)


def busyness(now_ms: int) -> float:
    """How busy the whole shop is at an instant: every country's local hour, by its share of visitors."""
    return sum(weight * DAY_CURVE[int(now_ms + ahead * HOUR_MS) // HOUR_MS % 24] for _, _, ahead, weight in _COUNTRIES)


def _places() -> Weighted[Place]:
    places, weights = [], []
    for locale, country, ahead, weight in _COUNTRIES:
        faker = Faker(locale)
        faker.seed_instance(SHOP_SEED)
        for rank in range(1, CITIES_PER_COUNTRY + 1):
            places.append(Place(members(country=country, city=faker.unique.city()), int(ahead * HOUR_MS)))
            weights.append(weight / rank)
    # Each country's cities weigh as much as the country, whatever their number.
    return Weighted(places, weights)


def _mix(number: int) -> int:
    """64 well mixed bits of a number (splitmix64)."""
    bits = (number + 1) * 0x9E3779B97F4A7C15 & _MASK
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _MASK
    return bits ^ bits >> 31
