"""The producer against a real broker: what it says it delivered is in the topic, whatever happens to the broker."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

from confluent_kafka import Consumer, TopicPartition

from local.embedded import Platform
from local.kafka import Kafka
from services.common.settings import load
from services.producer.pacing import Unpaced
from services.producer.sending import Sent, send
from services.producer.settings import SendingSettings, SimulateSettings
from services.producer.simulate.source import Simulation
from services.producer.source import Message
from tests.conftest import PARTITIONS, create_topic

DEADLINE_SECONDS = 60.0
T = TypeVar("T")
FIXED = ("--seed", "5", "--start", "2026-03-02T00:00:00Z")


class Running:
    """A producer as a process of its own, and what it says."""

    def __init__(self, bootstrap: str, topic: str, folder: Path, *args: str, **env: str) -> None:
        self._out, self._err = folder / "out", folder / "err"
        settings = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, "KAFKA_TOPIC": topic, "MONITORING_PORT": "0"}
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.producer", "simulate", *args],
                env=os.environ | settings | {"PRODUCER_PROGRESS_SECONDS": "0.2"} | env,
                stdout=out,
                stderr=err,
            )

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one kind so far."""
        whole = self._out.read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in whole if line.endswith("\n")]
        return [line for line in found if line["event"] == event]

    def wait_for(self, event: str, when: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The newest such line, once there is one."""
        return eventually(lambda: next((line for line in reversed(self.lines(event)) if when(line)), None), self._story)

    def end(self) -> tuple[int, str]:
        """Its exit code and what it wrote to stderr, once it has ended."""
        return self.process.wait(DEADLINE_SECONDS), self._err.read_text()

    def get(self, path: str) -> tuple[int, str]:
        """Ask its HTTP server."""
        port = self.wait_for("started")["monitoring_port"]
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def _story(self) -> str:
        return self._out.read_text() + self._err.read_text()


def eventually(look: Callable[[], T | None], story: Callable[[], str] = str) -> T:
    """What is seen once it is there."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if (seen := look()) is not None:
            return seen
        time.sleep(0.05)
    raise AssertionError(f"not within {DEADLINE_SECONDS} s:\n{story()}")


@contextmanager
def producing(bootstrap: str, topic: str, folder: Path, *args: str, **env: str) -> Iterator[Running]:
    """A producer that is gone afterwards, whatever happens."""
    running = Running(bootstrap, topic, folder, *args, **env)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def stored(bootstrap: str, topic: str) -> list[tuple[int, bytes, bytes]]:
    """Partition, key and value of all that is in the topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "look", "enable.auto.commit": False})
    try:
        parts = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
        ends = [consumer.get_watermark_offsets(part, timeout=30)[1] for part in parts]
        consumer.assign(parts)
        found: list[tuple[int, bytes, bytes]] = []
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(found) < sum(ends) and time.monotonic() < deadline:
            for message in consumer.consume(10_000, 0.3):
                assert message.error() is None
                found.append((message.partition() or 0, bytes(message.key() or b""), bytes(message.value() or b"")))
        assert len(found) == sum(ends)
        return found
    finally:
        consumer.close()


def simulated(events: int, **given: Any) -> Counter[bytes]:
    """What a producer with FIXED makes."""
    settings = load(
        SimulateSettings,
        kafka_bootstrap_servers="unused:9092",
        producer_seed=5,
        producer_start="2026-03-02T00:00:00Z",
        producer_events=events,
        **given,
    )
    return Counter(message.value for message in Simulation(settings))


def values(bootstrap: str, topic: str) -> Counter[bytes]:
    """How often each value is in the topic."""
    return Counter(value for _, _, value in stored(bootstrap, topic))


def test_exactly_what_was_made_is_in_the_topic_and_a_visitor_stays_on_one_partition(
    broker: str, topic: str, tmp_path: Path
) -> None:
    with producing(broker, topic, tmp_path, *FIXED, "--events", "20000", "--duplicates", "0.05") as producer:
        assert producer.end() == (0, "")
    assert producer.wait_for("sent")["delivered"] == 20_000
    messages = stored(broker, topic)
    assert Counter(value for _, _, value in messages) == simulated(20_000, producer_duplicate_share=0.05)
    partitions = {(key, partition) for partition, key, _ in messages}
    assert len(partitions) == len({key for key, _ in partitions})
    assert len({partition for _, partition in partitions}) == PARTITIONS


def test_it_waits_for_the_topic_and_says_so_once(broker: str, tmp_path: Path) -> None:
    topic = f"late.{time.time_ns()}"
    with producing(broker, topic, tmp_path, *FIXED, "--events", "100") as producer:
        line = producer.wait_for("waiting for the topic: run the migrate step")
        assert line["topic"] == topic
        assert producer.get("/readyz") == (503, f"topic {topic} does not exist\n")
        assert producer.get("/healthz")[0] == 200
        create_topic(broker, topic)
        assert producer.end() == (0, "")
    assert len(producer.lines(line["event"])) == 1
    assert values(broker, topic) == simulated(100)


def outlive_a_kill(kafka: Kafka, producer: Running) -> None:
    """The producer says that it waits, and goes on once the broker is back."""
    delivered = producer.lines("progress")[-1]["delivered"]
    outages = len(producer.lines("waiting for the broker"))
    kafka.kill()
    eventually(lambda: producer.lines("waiting for the broker")[outages:] or None)
    kafka.start()
    producer.wait_for("progress", lambda line: line["delivered"] > delivered + 1_000)


def test_a_broker_absent_at_the_start_and_killed_twice_loses_and_doubles_nothing(
    own_platform: Platform, tmp_path: Path
) -> None:
    kafka = own_platform.kafka
    create_topic(kafka.bootstrap, "events")
    kafka.kill()
    with producing(kafka.bootstrap, "events", tmp_path, *FIXED, "--rate", "1500") as producer:
        assert producer.wait_for("waiting for the broker")["broker"] == kafka.bootstrap
        assert producer.get("/readyz")[0] == 503
        kafka.start()
        producer.wait_for("progress", lambda line: line["delivered"] > 2_000)
        assert producer.get("/readyz")[0] == 200
        for _ in range(2):
            outlive_a_kill(kafka, producer)
        producer.process.send_signal(signal.SIGTERM)
        assert producer.end() == (0, "")
    sent = producer.wait_for("sent")["delivered"]
    assert values(kafka.bootstrap, "events") == simulated(sent, producer_rate=1500)


def test_sigterm_delivers_what_was_made_and_ends_well(broker: str, topic: str, tmp_path: Path) -> None:
    sent = 0
    for number in (signal.SIGTERM, signal.SIGINT):
        with producing(broker, topic, tmp_path) as producer:
            producer.wait_for("progress", lambda line: line["delivered"] > 0)
            producer.process.send_signal(number)
            assert producer.end() == (0, "")
        sent += producer.wait_for("sent")["delivered"]
        assert len(stored(broker, topic)) == sent


def test_sigterm_while_the_broker_is_away_ends_in_time_and_says_what_is_missing(
    own_platform: Platform, tmp_path: Path
) -> None:
    kafka = own_platform.kafka
    create_topic(kafka.bootstrap, "events")
    env = {"PRODUCER_FLUSH_SECONDS": "1", "PRODUCER_QUEUE_MESSAGES": "2000"}
    with producing(kafka.bootstrap, "events", tmp_path, **env) as producer:
        producer.wait_for("progress", lambda line: line["delivered"] > 0)
        kafka.kill()
        producer.wait_for("waiting for the broker")
        producer.wait_for("progress", lambda line: line["queued"] >= 2_000)
        asked_at = time.monotonic()
        producer.process.terminate()
        code, said = producer.end()
        assert time.monotonic() - asked_at < 5
    sent = producer.wait_for("sent")
    counts = re.fullmatch(
        r"error: not every message was delivered: (\d+) delivered, 0 failed, (\d+) left when .*\n", said
    )
    assert code == 1
    assert counts is not None
    assert [int(count) for count in counts.groups()] == [sent["delivered"], sent["undelivered"]]
    assert sent["undelivered"] >= 1_900
    kafka.start()
    kafka.wait_ready()
    # What was in flight when the broker died may have been written without our hearing of it.
    assert sent["delivered"] <= len(stored(kafka.bootstrap, "events")) <= sent["delivered"] + 2_000


def test_metrics_and_readiness_are_served(broker: str, topic: str, tmp_path: Path) -> None:
    with producing(broker, topic, tmp_path, "--rate", "500") as producer:
        producer.wait_for("progress", lambda line: line["delivered"] > 500)
        assert producer.get("/readyz") == (200, "ok\n")
        metrics = dict(re.findall(r"^(clickstream_producer_\S+) (\S+)$", producer.get("/metrics")[1], re.MULTILINE))
    assert float(metrics['clickstream_producer_events_total{outcome="delivered"}']) >= 500
    assert float(metrics['clickstream_producer_events_total{outcome="failed"}']) == 0
    assert float(metrics["clickstream_producer_target_rate"]) == 500
    assert float(metrics["clickstream_producer_bytes_total"]) > 100_000
    assert float(metrics["clickstream_producer_queue_messages"]) < 500


def test_live_events_are_less_than_a_second_old_when_they_arrive(broker: str, topic: str, tmp_path: Path) -> None:
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "live"})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    try:
        with producing(broker, topic, tmp_path, "--rate", "200", "--late", "0", "--duplicates", "0"):
            for _ in range(300):
                message = consumer.poll(DEADLINE_SECONDS)
                assert message is not None
                assert message.error() is None
                made_ms = int(json.loads(message.value() or b"")["event_id"].replace("-", "")[:12], 16)
                assert -1 <= message.timestamp()[1] - made_ms < 1_000
    finally:
        consumer.close()


def test_a_message_that_the_broker_would_refuse_is_counted_and_the_rest_goes_on(broker: str, topic: str) -> None:
    settings = load(SendingSettings, kafka_bootstrap_servers=broker, kafka_topic=topic)
    messages = [Message(0, b"k", value) for value in (b"one", b"x" * 2_000_000, b"two")]
    assert send(messages, settings, threading.Event(), Unpaced()) == Sent(delivered=2, failed=1, undelivered=0)
    assert values(broker, topic) == Counter({b"one": 1, b"two": 1})


def test_sasl_without_a_password_ends_it_with_one_line(tmp_path: Path) -> None:
    env = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "me"}
    with producing("127.0.0.1:1", "events", tmp_path, **env) as producer:
        assert producer.end() == (
            1,
            "error: KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD\n",
        )
