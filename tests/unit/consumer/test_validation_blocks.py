"""A block of messages is judged as if each came alone: the quick check of all and the exact check of one agree."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from services.common.timestamps import rfc3339_ms
from services.common.uuid7 import compose
from services.consumer.batch import BLOCK_ROWS
from services.consumer.faults import Invalid
from tests.unit.consumer.samples import BATCH_ID, LIMITS, NOW_MS, VALIDATOR, check, event, fields, without

_DAY_MS = 86_400_000


def _mostly(usual: st.SearchStrategy[Any], *odd: Any) -> st.SearchStrategy[Any]:
    return st.one_of(usual, usual, usual, st.sampled_from(odd))


_times_ms = _mostly(
    st.integers(NOW_MS - 2 * _DAY_MS, NOW_MS + _DAY_MS),
    0,
    NOW_MS - 300 * _DAY_MS,
    NOW_MS - _DAY_MS,
    NOW_MS - _DAY_MS - 1,
    NOW_MS + _DAY_MS,
    253_402_300_799_999,
)
_ids = st.builds(compose, _times_ms, st.integers(0, (1 << 74) - 1))
_texts = _mostly(st.text(max_size=40), "a\0", "\\u0000", "\\", "1.2.3.4", "a@b", "::1", "\n", "\ufeff")
_properties = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "event_id": _mostly(_ids, "x" * 36, "", compose(NOW_MS, 0xABC).upper(), compose(NOW_MS, 1)[:-1] + "\n"),
    "session_id": _mostly(_ids, compose(NOW_MS, 1) + "0000", compose(NOW_MS, 1)[:32]),
    "event_time": _mostly(_times_ms.map(rfc3339_ms), "2026-02-30T00:00:00.000Z", "2026-08-31T24:00:00.000Z", "now"),
    "event_type": _mostly(st.sampled_from(["click", "purchase", "custom"]), "refund", None),
    "event_name": _mostly(st.none(), "", "signup", "x" * 65),
    "site": _mostly(st.none() | _texts, "Shop.Example", "-", "a" * 64, "shop.example:443"),
    "page_url": _mostly(
        st.none() | _texts, "https://www.Shop.example:8443/a?b", "http://[::1]/", "https://müller.example/"
    ),
    "visitor_id": _texts.filter(bool),
    "user_id": st.none() | _texts,
    "page_path": _mostly(_texts, "/" * 512, "ß" * 257),
    "page_title": _texts,
    "country": _mostly(st.none(), "DE", "de", "D\n", "ÄÖ"),
    "currency": _mostly(st.none(), "EUR", "EU\0"),
    "quantity": _mostly(st.integers(0, 1_000_000), -1, 2**31, 1.5),
    "value": _mostly(st.none(), "1.5", "1\n2", "1e5", "-1", "NaN", "12", "1.23456"),
    "properties": _mostly(st.dictionaries(_texts, _properties, max_size=4), None, [], {"a": "x" * 9000}),
}
_changed = st.dictionaries(st.sampled_from(list(_CHANGES)), st.none(), max_size=3).flatmap(
    lambda chosen: st.fixed_dictionaries({name: _CHANGES[name] for name in chosen})
)
_raw_numbers = st.from_regex(
    r"\{\"a\":\[?-?(0|[1-9][0-9]{0,6})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,6})?\]?\}", fullmatch=True
)
_hand_written = _raw_numbers.map(lambda text: without("properties")[:-1] + b',"properties":' + text.encode() + b"}")
_near_valid = st.one_of(
    st.just(event()),
    _changed.map(lambda changes: json.encode(fields(**changes))),
    _hand_written,
    st.none(),
)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A valid event with a few bytes replaced, cut out or put in."""
    value = bytearray(event(properties={"a": [1, {"b": "\\u0000 ß"}]}))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(value) - 1))
        value[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(value)


@settings(max_examples=400)
@given(st.lists(_near_valid, max_size=6))
def test_a_block_s_results_are_those_of_its_messages_one_by_one(values: list[bytes | None]) -> None:
    assert check(*values) == [result for value in values for result in check(value)]


@settings(max_examples=300)
@given(st.lists(_near_valid, min_size=1, max_size=3))
def test_the_quick_check_accepts_nothing_that_the_exact_check_refuses(values: list[bytes | None]) -> None:
    exact = [VALIDATOR._row(value, LIMITS, BATCH_ID) for value in values]
    assert check(*values) == exact


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=60), _damaged()))
def test_no_bytes_at_all_make_the_validator_fail_and_every_reason_can_be_stored(value: bytes) -> None:
    (result,) = check(value)
    if isinstance(result, Invalid):
        assert "\0" not in result.message
        assert result.message.encode()


def test_one_bad_message_leaves_the_rest_of_its_block_as_rows() -> None:
    for bad in (None, b"{", event(city="\0"), event(value="1e5"), event(event_time=rfc3339_ms(0))):
        good = [event(event_id=compose(NOW_MS, n)) for n in range(BLOCK_ROWS - 1)]
        results = check(*good[:250], bad, *good[250:])
        assert isinstance(results.pop(250), Invalid)
        assert [row[0] for row in results] == [compose(NOW_MS, n) for n in range(BLOCK_ROWS - 1)]


def test_an_empty_block_has_no_results() -> None:
    assert check() == []
