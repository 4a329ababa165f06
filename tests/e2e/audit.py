"""Whether every message on the topic came to its one right end, judged from the topic itself."""

import json
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster import Namespace, wait_until
from tests.e2e.database import Database

_CONNECT = """
from confluent_kafka import Consumer, TopicPartition
from services.common.kafka import client_config
from services.common.settings import load
from services.consumer.settings import ConsumerSettings
import hashlib, json
settings = load(ConsumerSettings)
# Partitions are assigned by hand and nothing is committed: the group itself notices nothing.
own = {"group.id": settings.consumer_group_id, "enable.auto.commit": False, "queued.max.messages.kbytes": 4096}
client = Consumer(client_config(settings, "audit") | own)
topic = settings.kafka_topic
partitions = client.list_topics(topic, timeout=20).topics[topic].partitions
ends = {p: client.get_watermark_offsets(TopicPartition(topic, p), timeout=20) for p in partitions}
"""
_ENDS = f"{_CONNECT}\nprint(json.dumps({{p: high for p, (_, high) in ends.items()}}))"
_READ = f"""{_CONNECT}
missing = sum(high - low for low, high in ends.values())
client.assign([TopicPartition(topic, p, low) for p, (low, _) in ends.items()])
ids, counts = set(), dict.fromkeys(partitions, 0)
while missing:
    messages = client.consume(min(missing, 5_000), 30)
    assert messages, f"{{missing}} messages could not be read"
    for message in messages:
        assert message.error() is None, message.error()
        ids.add(bytes.fromhex(json.loads(message.value())["event_id"].replace("-", "")))
        counts[message.partition()] += 1
    missing -= len(messages)
digest = hashlib.md5(b"".join(sorted(ids)), usedforsecurity=False).hexdigest()
print(json.dumps({{"messages": counts, "events": len(ids), "digest": digest}}))
"""
_STORED = """
SELECT count(*) AS events, count(DISTINCT event_id) AS different,
    md5(coalesce(string_agg(uuid_send(event_id), ''::bytea ORDER BY event_id), '')) AS digest
FROM clickstream.event
"""
_BOOKS = """
SELECT partition, next_offset, received, stored, duplicate, dead, lost, imbalance FROM reporting.partition_offset
"""
# A rollup's rows may come in two parts, the rolled up and the pending: every reader sums.
_REPORTED = """
SELECT (SELECT count(*) FROM clickstream.event) AS events,
    (SELECT sum(events) FROM reporting.traffic_minute) AS by_minute,
    (SELECT sum(events) FROM reporting.traffic_hour) AS by_hour,
    (SELECT sum(events) FROM reporting.geography_hour) AS by_place,
    (SELECT sum(events) FROM reporting.session) AS by_session
"""


@dataclass(frozen=True)
class Audit:
    """Reads the topic in a pod that may reach it, one of the consumers, and the tables in the server's."""

    namespace: Namespace
    database: Database
    instance: str

    def topic_ends(self) -> dict[int, int]:
        """The offset after the last message of each partition."""
        return {int(partition): end for partition, end in self._run(_ENDS).items()}

    def wait_until_stored(self, seconds: float = 180) -> None:
        """Until what is on the topic now is accounted for."""
        ends = self.topic_ends()

        def stored() -> bool:
            positions = self.database.positions()
            return all(positions.get(partition, 0) >= end for partition, end in ends.items())

        wait_until(stored, f"positions to reach {ends}", seconds, lambda: f"they are {self.database.positions()}")

    def assert_exactly_once(self) -> int:
        """Nothing is lost or doubled, the books balance; returns how many events there are. Nobody may produce."""
        self.wait_until_stored()
        topic = self._run(_READ)
        (stored,) = self.database.rows(_STORED)
        assert stored == {"events": topic["events"], "different": topic["events"], "digest": topic["digest"]}
        books = self.database.rows(_BOOKS)
        for line in books:
            assert line["imbalance"] == 0, f"received is not stored + duplicate + dead: {line}"
            assert (line["dead"], line["lost"]) == (0, 0), line
            assert line["received"] == topic["messages"][str(line["partition"])], line
        assert sum(line["received"] for line in books) == sum(topic["messages"].values())
        assert sum(line["stored"] for line in books) == topic["events"]
        return int(topic["events"])

    def assert_reporting_is_exact(self) -> None:
        """Every view that counts events comes to the number of raw events, in one snapshot."""
        (counts,) = self.database.rows(_REPORTED)
        assert counts == dict.fromkeys(counts, counts["events"])

    def _run(self, program: str) -> dict[str, Any]:
        labels = {"instance": self.instance, "component": "consumer"}
        wait_until(lambda: bool(self.namespace.ready_pods(labels)), "a ready consumer", 120, self.namespace.report)
        pod = self.namespace.ready_pods(labels)[0]
        answer: dict[str, Any] = json.loads(self.namespace.execute(pod, ["python", "-c", program]).splitlines()[-1])
        return answer
