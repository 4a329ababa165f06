"""The page's figures, read in a thread of their own so that a slow or absent database never holds up a restart.

Whoever wants a look asks that thread: neither a session nor a Kafka client is ever used by two.
"""

import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Self

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

from local import queries
from local.embedded import Platform
from local.queries import Balance, Content, Flow

TOPIC = "clickstream.events.v1"
_EVERY_SECONDS = 1.0
_WINDOW_SAMPLES = 6
_HISTORY_SAMPLES = 60
# The tables cost more than the rest: at most about a tenth of a core goes into them.
_CONTENT_EVERY_SECONDS = 2.0
_CONTENT_SHARE = 10


@dataclass(frozen=True)
class Figures:
    """One look at the whole pipeline."""

    produced: int = 0
    balance: Balance = field(default_factory=Balance)
    flow: Flow | None = None
    content: Content | None = None
    lag: int = 0
    in_per_second: float = 0.0
    stored_per_second: float = 0.0
    history: tuple[float, ...] = ()
    problem: str | None = None
    read_at: float = 0.0  # time.monotonic() when the reading began


class Topic:
    """The topic's ends, as the broker tells them."""

    def __init__(self, bootstrap: str) -> None:
        self._client = Consumer({"bootstrap.servers": bootstrap, "group.id": "live-page", "log_level": 0})
        self._partitions: list[int] = []

    def offsets(self) -> dict[int, tuple[int, int]]:
        """First and next offset of each partition.

        Raises:
            KafkaException: the broker does not answer.
        """
        if not self._partitions:
            found = self._client.list_topics(TOPIC, timeout=2).topics.get(TOPIC)
            self._partitions = sorted(found.partitions) if found else []
        return {
            partition: self._client.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=2)
            for partition in self._partitions
        }

    def close(self) -> None:
        """Leave the broker."""
        self._client.close()


class Watch:
    """Keeps `latest` fresh from the block's beginning to its end or to the `last` look."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._topic = Topic(platform.kafka.bootstrap)
        self._session: psycopg.Connection | None = None
        self._samples: deque[tuple[float, int, int]] = deque(maxlen=_WINDOW_SAMPLES)
        self._history: deque[float] = deque(maxlen=_HISTORY_SAMPLES)
        self._content_at = 0.0
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="figures")
        self._looking: Future[None] | None = None
        self.latest = Figures()

    def __enter__(self) -> Self:
        self._thread.submit(self._look).result()
        self._looking = self._thread.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def last(self) -> Figures:
        """All of it once more; `latest` stays so."""
        self._stop.set()
        if self._looking:
            self._looking.result()
        self._thread.submit(self._look, all_of_it=True).result()
        return self.latest

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            self._look()

    def _close(self) -> None:
        self._topic.close()
        if self._session:
            self._session.close()

    def _look(self, *, all_of_it: bool = False) -> None:
        """Read once; what does not answer leaves the figures as they were and says so."""
        try:
            self.latest = self._read(all_of_it)
        except psycopg.Error as error:
            if self._session:
                self._session.close()
            self._session = None
            away = isinstance(error, psycopg.OperationalError)
            reason = "PostgreSQL does not answer" if away else f"PostgreSQL: {str(error).splitlines()[0]}"
            self.latest = replace(self.latest, problem=reason)
        except KafkaException:
            self.latest = replace(self.latest, problem="Kafka does not answer")

    def _read(self, all_of_it: bool) -> Figures:
        read_at = time.monotonic()
        session = self._session = self._session or self._connect()
        positions = queries.positions(session, TOPIC)
        offsets = self._topic.offsets()
        balance = queries.balance(session)
        produced = sum(end for _, end in offsets.values())
        lag = sum(max(0, end - positions.get(partition, start)) for partition, (start, end) in offsets.items())
        incoming, stored = self._rates(produced, balance.stored)
        return Figures(
            produced=produced,
            balance=balance,
            flow=queries.flow(session),
            content=self._content(session, all_of_it),
            lag=lag,
            in_per_second=incoming,
            stored_per_second=stored,
            history=tuple(self._history),
            read_at=read_at,
        )

    def _content(self, session: queries.Session, all_of_it: bool) -> Content | None:
        began = time.monotonic()
        if not all_of_it and began < self._content_at:
            return self.latest.content
        content = queries.content(session)
        took = time.monotonic() - began
        self._content_at = began + max(_CONTENT_EVERY_SECONDS, _CONTENT_SHARE * took)
        return content

    def _rates(self, produced: int, stored: int) -> tuple[float, float]:
        now = time.monotonic()
        self._samples.append((now, produced, stored))
        then, produced_then, stored_then = self._samples[0]
        if now == then:
            return 0.0, 0.0
        rates = (produced - produced_then) / (now - then), (stored - stored_then) / (now - then)
        self._history.append(rates[1])
        return rates

    def _connect(self) -> queries.Session:
        postgres, state = self._platform.postgres, self._platform.state
        return psycopg.connect(
            host=postgres.host,
            port=postgres.port,
            dbname="clickstream",
            user="grafana_reader",
            password=state.grafana_reader_password,
            connect_timeout=5,
            autocommit=True,
            application_name="clickstream-live-page",
        )
