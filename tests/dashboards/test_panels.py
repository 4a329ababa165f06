"""Every panel's SQL, run as Grafana runs it, against numbers computed from the raw events in Python."""

import math
from datetime import date, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import pytest

from tests.dashboards.conftest import Filled
from tests.dashboards.expected import ANSWERS
from tests.dashboards.files import Query, queries
from tests.dashboards.macros import Choice, Span, expand

ALL = list(queries())
# How long, in which steps, and how long ago it ended.
SPANS = {
    "half an hour": (timedelta(minutes=30), 60, timedelta()),
    "six hours": (timedelta(hours=6), 60, timedelta()),
    "a day and a half": (timedelta(hours=36), 300, timedelta()),
    "twelve days": (timedelta(days=12), 3600, timedelta()),
}
PAST_SPANS = {
    "an hour of the past": (timedelta(hours=1), 60, timedelta(days=5)),
    "two past days": (timedelta(days=2), 600, timedelta(days=4)),
    "eight past days": (timedelta(days=8), 3600, timedelta(hours=29)),
}
ABOUT_NOW = {"Live", "Pipeline"}
# Sizes and estimates of PostgreSQL's own, which housekeeping changes meanwhile.
GROWING = {"Database size", "Database use", "Partitions of raw events"}
SOME = {"device": ["mobile", "tablet"], "country": ["US", "DE", ""], "source": ["direct", "google.com"]}
CHOICES = {
    "one of the sites": Choice({"site": ["blog.example"]}),
    "two of the sites": Choice({"site": ["shop.example", "default"]}),
    "some": Choice(SOME),
    "some of one site": Choice({"site": ["shop.example"], **SOME}),
}


def test_every_panel_has_an_answer_to_compare_with() -> None:
    unanswered = sorted({query.key for query in ALL} - ANSWERS.keys())
    gone = sorted(ANSWERS.keys() - {query.key for query in ALL})
    assert not unanswered, f"add {unanswered} to ANSWERS in tests/dashboards/expected_*.py"
    assert not gone, f"no dashboard has {gone}: take them out of ANSWERS in tests/dashboards/expected_*.py"


@pytest.mark.parametrize("query", ALL, ids=lambda query: query.key)
@pytest.mark.parametrize("span", SPANS)
def test_a_panel_answers_what_the_raw_events_say(filled: Filled, query: Query, span: str) -> None:
    compare(filled, query, _span(filled, span), Choice())


@pytest.mark.parametrize("query", [q for q in ALL if q.dashboard not in ABOUT_NOW], ids=lambda query: query.key)
@pytest.mark.parametrize("span", PAST_SPANS)
def test_a_panel_can_look_at_the_past(filled: Filled, query: Query, span: str) -> None:
    compare(filled, query, _span(filled, span), Choice())


@pytest.mark.parametrize("query", [q for q in ALL if "${device" in q.sql or "${source" in q.sql], ids=lambda q: q.key)
@pytest.mark.parametrize("choice", ["some", "some of one site"])
@pytest.mark.parametrize("span", ["a day and a half", "twelve days"])
def test_a_choice_of_device_country_and_source_holds(filled: Filled, query: Query, span: str, choice: str) -> None:
    compare(filled, query, _span(filled, span), CHOICES[choice])


@pytest.mark.parametrize("query", [q for q in ALL if "${site" in q.sql], ids=lambda q: q.key)
@pytest.mark.parametrize("choice", ["one of the sites", "two of the sites"])
@pytest.mark.parametrize("span", ["half an hour", "twelve days"])
def test_a_choice_of_sites_holds(filled: Filled, query: Query, span: str, choice: str) -> None:
    compare(filled, query, _span(filled, span), CHOICES[choice])


@pytest.mark.parametrize("choice", ["one of the sites", "two of the sites"])
def test_a_choice_of_sites_makes_a_difference_to_every_panel_that_has_it(filled: Filled, choice: str) -> None:
    span = _span(filled, "twelve days")
    chosen, of_all = filled.facts(span, CHOICES[choice]), filled.facts(span)
    same_answer = {q.panel for q in ALL if "${site" in q.sql and ANSWERS[q.key](chosen) == ANSWERS[q.key](of_all)}
    assert same_answer <= {"Faster than people"}  # there is one such visitor, on the default site


def test_one_sessions_events_are_shown_in_order(filled: Filled) -> None:
    query = next(q for q in ALL if q.panel == "Events of one session")
    span = _span(filled, "twelve days")
    for session in filled.facts(span).all_sessions[:200:20]:
        compare(filled, query, span, Choice({"session": [str(session["session_id"])]}))


def _span(filled: Filled, name: str) -> Span:
    length, step_seconds, ago = (SPANS | PAST_SPANS)[name]
    until = filled.until - ago
    return Span(until - length, until, step_seconds)


_FACTS: dict[Any, Any] = {}


def compare(filled: Filled, query: Query, span: Span, choice: Choice) -> None:
    """Hold a panel's rows against the expected ones, in order."""
    key = span, repr(choice)
    if key not in _FACTS:
        _FACTS[key] = filled.facts(span, choice)
    with filled.reader() as reader:
        found = reader.execute(expand(query.sql, span, query.variables, choice).encode()).fetchall()
    expected = ANSWERS[query.key](_FACTS[key])
    differences = [
        (row, one, other)
        for row, (one, other) in enumerate(zip_longest(found, expected))
        if one is None or other is None or not same(one, other, 0.05 if query.panel in GROWING else 1e-6)
    ]
    assert differences == []


def same(found: tuple[Any, ...], expected: tuple[Any, ...], tolerance: float = 1e-6) -> bool:
    """Numbers of any kind to six digits, times at the same instant."""
    return len(found) == len(expected) and all(_same(*pair, tolerance) for pair in zip(found, expected, strict=True))


def _same(one: Any, other: Any, tolerance: float) -> bool:
    number = (int, float, Decimal)
    if isinstance(one, number) and isinstance(other, number):
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=1e-9)
    if isinstance(one, date) and isinstance(other, str):
        return str(one) == other
    return bool(one == other)
