"""Everything is killed at random, again and again: nothing is lost, nothing is doubled, no number is ever wrong."""

import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random

import psycopg
import pytest

from local.embedded import Platform
from local.keeping import Keeper, Kept
from local.process import Process
from services.common.postgres import snapshot
from services.common.settings import load
from services.producer.settings import SimulateSettings
from services.producer.simulate import source
from services.producer.simulate.broken import break_one
from tests.integration.pipeline import Pipeline, scalar, topic_ends
from tests.integration.readings import assert_exactly_once

KILLS = {"consumer": 10, "aggregator": 6, "postgres": 4, "kafka": 4}
PAUSE_SECONDS = (0.0, 0.7)
PATIENCE_SECONDS = 20.0  # on a busy machine a broker that was killed takes that long to be back

# Live view and recount side by side; one row for each difference.
_DIFFERENCES = """
WITH live_traffic AS (
    SELECT minute, event_type, device_type, sum(events) FROM reporting.traffic_minute GROUP BY 1, 2, 3
),
recounted_traffic AS (
    SELECT date_trunc('minute', event_time), event_type, device_type, count(*) FROM clickstream.event GROUP BY 1, 2, 3
),
live_page AS (SELECT hour, page_path, sum(views), sum(clicks) FROM reporting.page_hour GROUP BY 1, 2),
recounted_page AS (
    SELECT date_trunc('hour', event_time), page_path, count(*) FILTER (WHERE event_type = 'page_view'),
        count(*) FILTER (WHERE event_type = 'click')
    FROM clickstream.event
    GROUP BY 1, 2
),
live_session AS (
    SELECT hour, sum(sessions), sum(events), sum(bounces)
    FROM reporting.session_hour
    GROUP BY 1
    HAVING sum(sessions) > 0
),
recounted_session AS (
    SELECT date_trunc('hour', started_at), count(*), sum(events), count(*) FILTER (WHERE page_views <= 1)
    FROM (
        SELECT min(event_time) AS started_at, count(*) AS events,
            count(*) FILTER (WHERE event_type = 'page_view') AS page_views
        FROM clickstream.event
        GROUP BY session_id
    ) AS s
    GROUP BY 1
)
SELECT 'traffic_minute', d::text FROM (
    (TABLE live_traffic EXCEPT TABLE recounted_traffic) UNION (TABLE recounted_traffic EXCEPT TABLE live_traffic)) AS d
UNION ALL
SELECT 'page_hour', d::text FROM (
    (TABLE live_page EXCEPT TABLE recounted_page) UNION (TABLE recounted_page EXCEPT TABLE live_page)) AS d
UNION ALL
SELECT 'session_hour', d::text FROM (
    (TABLE live_session EXCEPT TABLE recounted_session) UNION (TABLE recounted_session EXCEPT TABLE live_session)) AS d
"""


class Chaos:
    """Services and servers under a supervisor that starts again whatever dies, as Kubernetes would."""

    def __init__(self, platform: Platform, pipeline: Pipeline, seed: int) -> None:
        self.random = Random(seed)
        self.platform, self.pipeline = platform, pipeline
        self.keeper = Keeper(lambda _: None)
        self.keeper.adopt(platform.kafka.process, platform.postgres.process)
        self.kafka, self.postgres = self.keeper.kept
        self.consumers: list[Kept] = []
        self.killed: Counter[str] = Counter()
        self.received = 0
        self.recounted: list[int] = []  # events at each recount

    def start(self, producer: Mapping[str, str]) -> None:
        """Two consumers, an aggregator whose runs follow one another, and the producer."""
        self.add_consumer()
        self.add_consumer()
        run = self.pipeline.aggregator("run", AGGREGATOR_PASS_SECONDS="0.5", AGGREGATOR_RUN_SECONDS="5")
        self.aggregator = self._keep(run, ends_by_itself=True)
        self.producer = self._keep(self.pipeline.start("producer", "producer", "simulate", **producer), again=False)

    def add_consumer(self) -> None:
        """One more."""
        name = f"consumer-{len(self.pipeline.processes)}"
        self.consumers.append(self._keep(self.pipeline.consumer(name, CONSUMER_SESSION_TIMEOUT_SECONDS="2")))

    def remove_consumer(self) -> None:
        """One less, asked politely."""
        self.keeper.stop([self.consumers.pop(0).process])

    def kill_all_victims(self) -> None:
        """One after another, with pauses in which the live views are held against a recount."""
        order = list(Counter(KILLS).elements())
        self.random.shuffle(order)
        for number, kind in enumerate(order):
            self.make_progress()
            self.go_on(self.random.uniform(*PAUSE_SECONDS))
            self.recount()
            if number == len(order) // 3:
                self.add_consumer()
            elif number == 2 * len(order) // 3:
                self.remove_consumer()
            self._kill(kind)

    def _kill(self, kind: str) -> None:
        victims = {"aggregator": [self.aggregator], "postgres": [self.postgres], "kafka": [self.kafka]}
        victim = self.random.choice(victims.get(kind, self.consumers)).process
        while True:
            self.keeper.wait(lambda: victim.running)
            victim.kill()
            if victim.exit_code == -signal.SIGKILL:
                break  # else it was faster: an aggregator's run ends by itself every few seconds, and another follows
        self.killed[kind] += 1

    def make_progress(self) -> None:
        """Until more is stored than before, so that the next kill hits a system at work; or patience is up."""
        until = time.monotonic() + PATIENCE_SECONDS
        self.keeper.wait(lambda: self._has_received_more() or time.monotonic() > until)

    def _has_received_more(self) -> bool:
        before = self.received
        with suppress(psycopg.OperationalError), self.pipeline.database.connect() as session:
            query = "SELECT coalesce(sum(received), 0) FROM clickstream.partition_offset"
            self.received = int(str(scalar(session, query)))
        return self.received > before

    def go_on(self, seconds: float) -> None:
        """Only look after the processes for a while."""
        until = time.monotonic() + seconds
        self.keeper.wait(lambda: time.monotonic() >= until)

    def recount(self) -> None:
        """If PostgreSQL is there at this instant, its live views must be right."""
        with suppress(psycopg.OperationalError), self.pipeline.database.connect() as session, snapshot(session):
            assert session.execute(_DIFFERENCES.encode()).fetchall() == []
            self.recounted.append(int(str(scalar(session, "SELECT count(*) FROM clickstream.event"))))

    def calm_down(self) -> None:
        """Until all that was produced is stored."""
        self.producer.process.ask_to_stop()
        self.keeper.wait(lambda: self.producer.done)
        self.platform.kafka.wait_ready()
        deadline = time.monotonic() + 60
        while not self.pipeline.stored_up_to_the_end():
            assert time.monotonic() < deadline, self.consumers[0].process.log_tail(20)
            self.go_on(0.1)
        self.keeper.stop([self.aggregator.process])

    def _keep(self, process: Process, *, again: bool = True, ends_by_itself: bool = False) -> Kept:
        kept = Kept(process, again=again, ends_by_itself=ends_by_itself)
        self.keeper.kept.append(kept)
        return kept


def production(seed: int) -> dict[str, str]:
    """The producer's variables: a steady rate, with late events, client retries and broken messages."""
    return {
        "PRODUCER_EVENTS": "-1",
        "PRODUCER_RATE": "500",
        "PRODUCER_SEED": str(seed),
        "PRODUCER_START": f"{datetime.now(UTC) - timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}",
        "PRODUCER_LATE_SHARE": "0.05",
        "PRODUCER_DUPLICATE_SHARE": "0.05",
        "PRODUCER_INVALID_SHARE": "0.02",
    }


def simulated(
    production: Mapping[str, str], count: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[Counter[bytes], frozenset[bytes]]:
    """What a producer with these variables makes first: all messages, and which of them it broke on purpose."""
    broken: set[bytes] = set()

    def noted(value: bytes, draw: Random) -> bytes:
        broken.add(made := break_one(value, draw))
        return made

    monkeypatch.setattr(source, "break_one", noted)
    given = {name.lower(): value for name, value in production.items()}
    settings = load(SimulateSettings, kafka_bootstrap_servers="unused:9092", **given)
    made = Counter(message.value for message in islice(source.Simulation(settings), count))
    return made, frozenset(broken)


@pytest.mark.timeout(600)  # every kill may take all the patience
@pytest.mark.parametrize("seed", [1])
def test_kills_at_random_lose_nothing_double_nothing_and_falsify_no_number(
    own_platform: Platform, own_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    producer = production(seed)
    chaos = Chaos(own_platform, own_pipeline, seed)
    chaos.start(producer)
    chaos.kill_all_victims()
    chaos.calm_down()

    assert chaos.killed == KILLS
    assert chaos.producer.deaths == 0
    assert len(chaos.recounted) >= sum(KILLS.values()) / 2
    assert len(set(chaos.recounted)) >= 8, "hardly anything was stored between the kills"
    delivered = sum(topic_ends(own_pipeline.bootstrap, own_pipeline.topic).values())
    made, broken = simulated(producer, delivered, monkeypatch)
    records = assert_exactly_once(own_pipeline, broken)
    assert Counter(record.value for record in records) == made
    own_pipeline.succeed(own_pipeline.aggregator("run", "--once", name="last-run"))
    own_pipeline.succeed(own_pipeline.aggregator("verify", "--all", name="verify"))
    for process in own_pipeline.processes:
        assert "Traceback" not in process.log.read_text(), process.log_tail(40)
