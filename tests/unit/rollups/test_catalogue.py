"""From a rollup's keys and merge rules follow its upsert and its live view."""

import pytest

from services.common.errors import UserError
from services.rollups.catalogue import Rollup, _Column, _merge_rule, declaration

_SUMS = Rollup("page_hour", ("hour", "page_path"), {"views": "sum", "clicks": "sum"}, "hour")
_SET = Rollup("visitor_day", ("day", "visitor_id"), {}, "day")
_MERGED = Rollup(
    "session",
    ("session_id",),
    {
        "events": "sum",
        "started_at": "least",
        "converted": "or",
        "entry_page": "first by (started_at, entry_id)",
        "exit_page": "last by (ended_at, exit_id)",
    },
    "started_at",
)


def test_an_additive_rollup_adds_what_is_pending_to_what_is_there() -> None:
    assert _SUMS.upsert() == (
        "INSERT INTO page_hour AS t (hour, page_path, views, clicks) "
        "SELECT hour, page_path, views, clicks FROM page_hour_pending "
        "ON CONFLICT (hour, page_path) DO UPDATE SET "
        "views = coalesce(t.views, 0) + excluded.views, clicks = coalesce(t.clicks, 0) + excluded.clicks"
    )


def test_an_additive_rollup_and_its_tail_stand_side_by_side_in_the_live_view() -> None:
    assert _SUMS.additive
    assert _SUMS.live_view() == (
        "SELECT hour, page_path, views, clicks FROM page_hour "
        "UNION ALL SELECT hour, page_path, views, clicks FROM reporting.page_hour_tail()"
    )


def test_a_set_grows_by_what_it_lacks_and_shows_each_member_once() -> None:
    assert _SET.upsert().endswith("ON CONFLICT (day, visitor_id) DO NOTHING")
    assert " UNION SELECT day, visitor_id FROM reporting.visitor_day_tail()" in _SET.live_view()


def test_a_merged_rollup_shows_a_row_as_it_will_be_and_never_beside_the_old_one() -> None:
    assert not _MERGED.additive
    view = _MERGED.live_view()
    assert "WHERE NOT EXISTS (SELECT FROM reporting.session_tail() AS p WHERE p.session_id = s.session_id)" in view
    assert view.endswith("FROM reporting.session_tail()")
    assert _MERGED.tail == "session_merged"


def test_each_column_merges_by_its_own_rule() -> None:
    upsert = _MERGED.upsert()
    for part in (
        "events = coalesce(t.events, 0) + excluded.events",
        "started_at = least(t.started_at, excluded.started_at)",
        "converted = coalesce(t.converted, false) OR excluded.converted",
        "CASE WHEN t.session_id IS NULL OR (excluded.started_at, excluded.entry_id) < (t.started_at, t.entry_id) "
        "THEN excluded.entry_page ELSE t.entry_page END",
        "(excluded.ended_at, excluded.exit_id) > (t.ended_at, t.exit_id) THEN excluded.exit_page",
    ):
        assert part in upsert


@pytest.mark.parametrize(
    ("comment", "rule"),
    [
        ("", "sum"),
        ("how many", "sum"),
        ("merge: least", "least"),
        ("merge: greatest; when it ended", "greatest"),
        ("merge: or", "or"),
        ("merge: first by (started_at, entry_id)", "first by (started_at, entry_id)"),
        ("merge: last by (ended_at)", "last by (ended_at)"),
    ],
)
def test_a_column_s_comment_says_how_it_merges(comment: str, rule: str) -> None:
    assert _merge_rule("page_hour", _Column("views", is_key=False, type="bigint", comment=comment)) == rule


@pytest.mark.parametrize(
    "comment", ["merge: lest", "merge: first", "mrege: least", "Merge: least", "merge:least", "sum: yes"]
)
def test_a_rule_that_is_misspelt_is_refused_and_not_summed(comment: str) -> None:
    with pytest.raises(UserError, match=rf"rollup page_hour: the comment of views says `{comment}`: a rule is "):
        _merge_rule("page_hour", _Column("views", is_key=False, type="bigint", comment=comment))


@pytest.mark.parametrize("type_", ["text", "uuid", "timestamp with time zone", "boolean", "date"])
def test_a_value_that_does_not_sum_needs_a_rule(type_: str) -> None:
    with pytest.raises(
        UserError, match=f"rollup session: entry_page is {type_}, which does not sum: say how it merges"
    ):
        _merge_rule("session", _Column("entry_page", is_key=False, type=type_, comment=""))


def test_a_table_s_comment_says_its_twins_and_its_retention() -> None:
    assert declaration("page_hour", "") == ((), None)
    assert declaration("page_hour", "twins: day") == (("day",), None)
    assert declaration("path_hour", "twins: day, week; retention: 90 days") == (("day", "week"), 90)


@pytest.mark.parametrize("comment", ["twin: day", "twins day", "retention: 90", "retention: long", "pages"])
def test_a_table_s_comment_that_says_something_else_is_refused(comment: str) -> None:
    with pytest.raises(UserError, match=f"rollup page_hour: its comment says `{comment}`: it may say"):
        declaration("page_hour", comment)
