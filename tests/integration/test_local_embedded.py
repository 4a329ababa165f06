"""The embedded broker and database: their data outlives a kill, their directory has one user at a time."""

import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from local.embedded import Platform
from local.state import claim
from services.common.errors import UserError
from tests.conftest import Database, create_topic


def test_both_keep_what_they_confirmed_when_killed_and_started_again(own_platform: Platform) -> None:
    bootstrap = own_platform.kafka.bootstrap
    create_topic(bootstrap, "kept")
    _send(bootstrap, "kept", 1000)
    with own_platform.postgres.connect("clickstream") as session:
        session.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")

    for server in (own_platform.kafka, own_platform.postgres):
        server.kill()
        assert not server.answers()
        server.start()
        server.wait_ready()

    assert _stored(bootstrap, "kept", 12) == 1000
    with own_platform.postgres.connect("clickstream") as session:
        assert session.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_a_second_run_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    with claim(tmp_path / "data"):
        began = time.monotonic()
        with pytest.raises(UserError, match=r"in use by another run \(process \d+\)"), claim(tmp_path / "data"):
            pass
        assert time.monotonic() - began < 5
    with claim(tmp_path / "data"):
        pass


def test_a_topic_and_a_database_of_ones_own(broker: str, topic: str, database: Database) -> None:
    _send(broker, topic, 12)
    assert _stored(broker, topic, 12) == 12
    with database.connect() as session:
        assert session.execute("SELECT current_database()").fetchone() == (database.dbname,)
        assert session.execute("SHOW wal_compression").fetchone() == ("off",)


def _send(bootstrap: str, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for number in range(count):
        producer.produce(topic, value=str(number))
    assert producer.flush(30) == 0


def _stored(bootstrap: str, topic: str, partitions: int) -> int:
    client = Consumer({"bootstrap.servers": bootstrap, "group.id": "count"})
    try:
        offsets = [client.get_watermark_offsets(TopicPartition(topic, part), timeout=30) for part in range(partitions)]
        return sum(high - low for low, high in offsets)
    finally:
        client.close()
