"""Simulated visitors of several sites: each is of one, and the first site has most."""

from collections import Counter, defaultdict

import pytest

from services.common.errors import UserError
from services.common.event import Event
from services.common.sites import of_url
from services.producer.simulate.source import Simulation
from tests.unit.producer.simulating import decode, refused, settings, simulate

THREE = "shop.example,https://www.blog.example:8443/,Kiosk"


def events_of(sites: str) -> list[Event]:
    messages = simulate(20_000, producer_site=sites, producer_visitors=2_000)
    assert not any(refused([message.value for message in messages]))
    return [decode(message.value) for message in messages]


def test_a_visitor_and_a_visit_are_of_one_site_and_the_first_named_has_most() -> None:
    visitors, visits = defaultdict(set), defaultdict(set)
    for event in events_of(THREE):
        visitors[event.visitor_id].add(event.site)
        visits[event.session_id].add(event.site)
    assert all(len(seen) == 1 for seen in [*visitors.values(), *visits.values()])
    (first, most), (second, fewer), (third, fewest) = Counter(s for (s,) in visitors.values()).most_common()
    assert (first, second, third) == ("shop.example", "blog.example", "kiosk")
    assert most > 1.5 * fewer > 1.5 * fewest > 0


def test_urls_and_referrers_are_of_the_site() -> None:
    addresses = {"shop.example": "https://shop.example", "blog.example": "https://www.blog.example:8443"}
    addresses["kiosk"] = "https://kiosk"
    for event in events_of(THREE):
        assert of_url(event.page_url) == event.site
        address = addresses[event.site or ""]
        assert event.page_url == address + event.page_path
        others = [other for other in addresses.values() if other != address]
        assert not any((event.referrer or "").startswith(other) for other in others)


def test_the_same_seed_gives_the_same_visits_whatever_the_sites_are_called() -> None:
    first, second = events_of("a.example,b.example"), events_of("c.example,d.example")
    assert [event.event_id for event in first] == [event.event_id for event in second]
    assert events_of(THREE) == events_of(THREE)


def test_a_site_named_twice_is_one() -> None:
    assert events_of("shop.example, Shop.example,https://shop.example") == events_of("https://shop.example")


@pytest.mark.parametrize("sites", ["shop.example,", "shop example", "shop.example:443", "https://shop.example/de", "-"])
def test_what_is_no_site_is_told_with_what_is_one(sites: str) -> None:
    with pytest.raises(UserError, match=r"^PRODUCER_SITE: must be a site's name or its address, such as shop\.example"):
        Simulation(settings(producer_site=sites))
