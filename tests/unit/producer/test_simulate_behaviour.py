"""Simulated visitors behave like people: coherent, skewed, mostly leaving before they buy."""

from collections import Counter
from decimal import Decimal
from functools import cache
from itertools import pairwise

from services.common import uuid7
from services.common.event import Event
from services.producer.simulate.visitors import HOUR_MS, busyness
from tests.unit.producer.simulating import START, decode, simulate, visits

WHO = ("visitor_id", "user_id", "device_type", "os", "browser", "country", "city")
CAMPAIGN = ("utm_source", "utm_medium", "utm_campaign")


@cache
def _visits() -> list[list[Event]]:
    return list(visits(simulate(120_000)).values())


def _with_type(event_type: str) -> int:
    return sum(any(event.event_type == event_type for event in visit) for visit in _visits())


def test_device_place_and_source_stay_the_same_within_a_visit() -> None:
    for visit in _visits():
        assert len({tuple(getattr(event, name) for name in WHO + CAMPAIGN) for event in visit}) == 1


def test_device_and_place_stay_the_same_for_a_visitor() -> None:
    known: dict[str, tuple[str | None, ...]] = {}
    for visit in _visits():
        traits = tuple(getattr(visit[0], name) for name in WHO)
        assert known.setdefault(visit[0].visitor_id, traits) == traits


def test_time_goes_forward_within_a_visit_and_never_stands_still_for_half_an_hour() -> None:
    for visit in _visits():
        times_ms = [uuid7.unix_ms(event.event_id) for event in visit]
        assert all(0 <= after - before < 1_800_000 for before, after in pairwise(times_ms))


def test_every_page_is_opened_from_the_one_before() -> None:
    for visit in _visits():
        pages = [event for event in visit if event.event_type == "page_view"]
        assert pages[0] is visit[0]
        assert not (pages[0].referrer or "").startswith("https://shop.example")
        for before, after in pairwise(pages):
            assert after.referrer == before.page_url


def test_everything_happens_on_the_page_that_is_open() -> None:
    for visit in _visits():
        for before, event in pairwise(visit):
            assert event.event_type == "page_view" or event.page_path == before.page_path


def test_the_funnel_narrows_at_every_step() -> None:
    steps = ("page_view", "product_view", "add_to_cart", "begin_checkout", "purchase")
    counts = [_with_type(step) for step in steps]
    assert all(after < 0.9 * before for before, after in pairwise(counts))
    assert 0.01 < counts[-1] / counts[0] < 0.06


def test_a_good_part_bounces() -> None:
    bounced = sum(sum(event.event_type == "page_view" for event in visit) == 1 for visit in _visits())
    assert 0.25 < bounced / len(_visits()) < 0.6


def test_what_is_bought_was_put_into_the_cart_and_not_taken_out() -> None:
    for visit in _visits():
        cart: Counter[str] = Counter()
        for event in visit:
            product, quantity = event.product_id, event.quantity or 0
            if event.event_type == "add_to_cart" and product:
                cart[product] += quantity
            elif event.event_type in ("remove_from_cart", "purchase") and product:
                assert cart.pop(product) == quantity


def test_a_purchase_has_a_line_for_each_product_and_one_order_id() -> None:
    lines = Counter[tuple[str, bytes]]()
    for visit in _visits():
        for event in visit:
            if event.event_type == "purchase":
                assert event.currency == "EUR"
                assert Decimal(event.value or "0") > 0
                assert (event.quantity or 0) >= 1
                assert event.properties
                lines[event.session_id, bytes(event.properties)] += 1
    assert max(lines.values()) > 1
    assert all(b'"order_id":"O-' in properties for _, properties in lines)


def test_a_product_costs_the_same_for_everyone() -> None:
    prices: dict[str, Decimal] = {}
    for visit in _visits():
        for event in visit:
            if event.product_id and event.value and event.quantity:
                price = Decimal(event.value) / event.quantity
                assert prices.setdefault(event.product_id, price) == price


def test_few_pages_and_products_are_most_of_the_traffic() -> None:
    for field in ("page_path", "product_id"):
        counts = Counter(getattr(event, field) for visit in _visits() for event in visit if getattr(event, field))
        top = sum(count for _, count in counts.most_common(len(counts) // 5))
        assert top > 0.5 * counts.total(), field


def test_clicks_name_what_was_clicked() -> None:
    clicked = {event.element for visit in _visits() for event in visit if event.event_type == "click"}
    assert None not in clicked
    assert len(clicked) > 10


def test_desktops_buy_more_readily_than_phones_and_newsletters_sell_better_than_social_media() -> None:
    assert _conversion("device_type", "desktop") > 1.3 * _conversion("device_type", "mobile")
    assert _conversion("utm_medium", "email") > 1.5 * _conversion("utm_medium", "social")


def _conversion(field: str, value: str) -> float:
    chosen = [visit for visit in _visits() if getattr(visit[0], field) == value]
    return sum(any(event.event_type == "purchase" for event in visit) for visit in chosen) / len(chosen)


def test_the_day_has_a_curve_and_countries_have_their_own() -> None:
    hours = Counter(visit[0].event_time[11:13] for visit in _visits())
    assert max(hours.values()) > 2 * min(hours.values())
    americans = Counter(v[0].event_time[11:13] for v in _visits() if v[0].country == "US")
    germans = Counter(v[0].event_time[11:13] for v in _visits() if v[0].country == "DE")
    assert americans["02"] / americans.total() > 2 * germans["02"] / germans.total()
    midnight_ms = int(START.timestamp() * 1000)
    busiest = max(range(24), key=lambda hour: busyness(midnight_ms + hour * HOUR_MS))
    assert 15 <= busiest <= 22


def test_many_visits_are_under_way_at_once() -> None:
    first_thousand = [decode(message.value).session_id for message in simulate(100_000, producer_span_hours=1)[-1000:]]
    changes = sum(before != after for before, after in pairwise(first_thousand))
    assert changes > 950


def test_a_few_per_cent_are_custom_events_that_say_what_they_are() -> None:
    events = [event for visit in _visits() for event in visit]
    names = Counter(event.event_name for event in events if event.event_type == "custom")
    assert names.keys() == {"newsletter_signup", "video_play", "wishlist_add", "share"}
    assert 0.01 < names.total() / len(events) < 0.05
    assert not any(event.event_name for event in events if event.event_type != "custom")


def test_unless_told_otherwise_there_is_one_site() -> None:
    assert {event.site for visit in _visits() for event in visit} == {"shop.example"}
