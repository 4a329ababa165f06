"""Where a visit comes from: search engines, campaigns, links, or an address typed in."""

from dataclasses import dataclass

from services.producer.simulate.draw import Weighted, members


@dataclass(frozen=True, slots=True)
class Origin:
    """What brought a visit.

    `campaign` is in every event of the visit, `referrer` in those of its first page, as JSON members. `appetite` says
    how readily such visits buy, `bounce` how likely they end on the first page, `landing` where that is.
    """

    campaign: bytes
    referrer: bytes
    appetite: float
    bounce: float
    landing: Weighted[str]


def _origin(
    source: str | None, medium: str | None, campaign: str | None, referrer: str | None, *tempers: float, landing: str
) -> Origin:
    kinds = ("home", "category", "product", "blog")
    weights = [float(weight) for weight in landing.split()]
    utm = members(utm_source=source, utm_medium=medium, utm_campaign=campaign)
    return Origin(utm, members(referrer=referrer), tempers[0], tempers[1], Weighted(kinds, weights))


ORIGINS = Weighted(
    [
        _origin(None, None, None, "https://www.google.com/", 1.0, 0.38, landing="25 20 35 20"),
        _origin(None, None, None, None, 1.4, 0.26, landing="75 10 10 5"),
        _origin("google", "cpc", "brand", "https://www.google.com/", 1.5, 0.24, landing="60 30 10 0"),
        _origin("google", "cpc", "shopping", "https://www.google.com/", 1.1, 0.42, landing="0 15 85 0"),
        _origin("newsletter", "email", "weekly", None, 1.7, 0.22, landing="15 45 25 15"),
        _origin("instagram", "social", "autumn", "https://l.instagram.com/", 0.5, 0.55, landing="15 25 50 10"),
        _origin("facebook", "paid_social", "retargeting", "https://l.facebook.com/", 0.8, 0.48, landing="10 20 65 5"),
        _origin(None, None, None, "https://www.bing.com/", 0.9, 0.36, landing="30 20 35 15"),
        _origin("trailnotes", "affiliate", "reviews", "https://trailnotes.example/", 1.2, 0.34, landing="5 10 70 15"),
        _origin(None, None, None, "https://www.reddit.com/", 0.4, 0.58, landing="20 10 25 45"),
    ],
    [30, 24, 8, 10, 7, 7, 5, 4, 3, 2],
)
