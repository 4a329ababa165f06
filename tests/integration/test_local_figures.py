"""The live page's figures: read by one thread, also the last, on which the demo's verdict rests."""

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from local import figures
from local.embedded import Platform
from local.figures import Watch
from tests.integration.pipeline import PASSWORDS, Pipeline, scalar, wait_until

_WAITING = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE application_name = 'clickstream-live-page' AND wait_event_type = 'Lock'"
)


def _note_threads(monkeypatch: pytest.MonkeyPatch, kind: type, names: tuple[str, ...]) -> dict[int, set[int]]:
    """The threads that call these methods, by object."""
    seen: dict[int, set[int]] = defaultdict(set)

    def noting(method: Any) -> Any:
        def call(self: object, *arguments: Any, **named: Any) -> Any:
            seen[id(self)].add(threading.get_ident())
            return method(self, *arguments, **named)

        return call

    for name in names:
        monkeypatch.setattr(kind, name, noting(getattr(kind, name)))
    return seen


def test_the_last_look_waits_for_the_one_under_way_and_no_connection_is_used_by_two_threads(
    own_platform: Platform, own_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = _note_threads(monkeypatch, psycopg.Connection, ("execute", "cursor", "transaction"))
    topics = _note_threads(monkeypatch, figures.Topic, ("offsets", "close"))
    state = replace(own_platform.state, grafana_reader_password=PASSWORDS["grafana_reader"])
    connect = own_pipeline.database.connect
    with connect() as owner, connect() as observer, ThreadPoolExecutor(1) as main:
        ours = {id(owner), id(observer)}
        with Watch(replace(own_platform, state=state)) as watch:
            with owner.transaction():
                owner.execute("LOCK TABLE clickstream.aggregator_run")
                wait_until(lambda: scalar(observer, _WAITING) == 1, "the page's look to be under way")
                last = main.submit(watch.last)
                wait_until(watch._stop.is_set, "the last look to be asked for")
            found = last.result(60)
            assert watch.latest is found
        assert (found.problem, found.content is None) == (None, False)
    assert [len(threads) for session, threads in sessions.items() if session not in ours] == [1]
    assert [len(threads) for threads in topics.values()] == [1]
