"""The broker lost the end of its log, and producers went on: what is read on must not begin behind what is new."""

import os
from pathlib import Path

import pytest

from local.embedded import Platform
from tests.integration.pipeline import Pipeline, wait_until
from tests.integration.readings import books, stored_ids
from tests.integration.sending import send_events

_QUICK = {"CONSUMER_SESSION_TIMEOUT_SECONDS": "3"}
_NOTES = {
    "the topic lost its end and was written on: what we had read is not there any more",
    "the topic ends before our position: it lost its end",
}


@pytest.mark.parametrize("consumer_runs", [True, False], ids=["while a consumer runs", "while none runs"])
def test_a_log_that_lost_its_end_and_was_written_on_is_read_from_where_it_was_cut(
    stoppable: Pipeline, servers: Platform, consumer_runs: bool
) -> None:
    kafka = servers.kafka
    consumer = stoppable.consumer("first", **_QUICK)
    first = send_events(stoppable.bootstrap, stoppable.topic, 300, seed=1)
    stoppable.wait_until_stored()
    kafka.stop()  # so that all of it is in the files
    log = kafka.data / "log"
    sizes = {file: file.stat().st_size for file in log.glob(f"{stoppable.topic}-*/*.log")}
    kafka.start()
    kafka.wait_ready()
    cut_off = send_events(stoppable.bootstrap, stoppable.topic, 400, seed=2)
    stoppable.wait_until_stored()
    if not consumer_runs:
        consumer.ask_to_stop()
        stoppable.succeed(consumer)
    kafka.kill()
    for file, size in sizes.items():
        cut(file, size)
    kafka.start()
    kafka.wait_ready()
    last = send_events(stoppable.bootstrap, stoppable.topic, 1500, seed=3)
    if not consumer_runs:
        stoppable.consumer("second", **_QUICK)

    wait_until(lambda: first | cut_off | last <= _stored(stoppable), "all that is on the topic to be stored", 40)
    wait_until(stoppable.stored_up_to_the_end, "all messages to be stored")
    with stoppable.database.connect() as session:
        assert sum(stored_ids(session).values()) == 2200
        lines = books(session, stoppable.topic).values()
        gaps = session.execute("SELECT note, lost FROM clickstream.ingest_batch WHERE note IS NOT NULL").fetchall()
    assert {line.lost for line in lines} == {0}
    assert {lost for _, lost in gaps} == {0}
    assert {note for note, _ in gaps} <= _NOTES
    assert len(gaps) == len(sizes)


def cut(segment: Path, size: int) -> None:
    """As a machine that lost power leaves it: what was not flushed is gone, and what is built from it is not there."""
    os.truncate(segment, size)
    for file in segment.parent.iterdir():
        if file.suffix in (".index", ".timeindex", ".snapshot"):
            file.unlink()


def _stored(pipeline: Pipeline) -> set[str]:
    with pipeline.database.connect() as session:
        return set(stored_ids(session))
