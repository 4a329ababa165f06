"""The services as processes of this machine, with the settings that they get on Kubernetes."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.embedded import Platform
from local.process import Process

_ROOT = Path(__file__).resolve().parent.parent
# What a shell may hold for another cluster must not reach ours.
_OURS_TO_SET = ("KAFKA_", "POSTGRES_", "PG", "MONITORING_PORT")


@dataclass(frozen=True)
class Services:
    """Makes the processes; `retention_days` 0 keeps events of any age."""

    platform: Platform
    retention_days: int | None = None

    def migrate(self) -> Process:
        """Schema, roles and topic; ends by itself."""
        state = self.platform.state
        return self._process(
            "migrate",
            ["services.migrate"],
            self.platform.postgres_env()
            | {
                "INGEST_PASSWORD": state.ingest_password,
                "AGGREGATE_PASSWORD": state.aggregate_password,
                "GRAFANA_READER_PASSWORD": state.grafana_reader_password,
                "KAFKA_TOPIC_RETENTION_HOURS": "-1" if self.retention_days == 0 else "168",
            },
        )

    def consumer(self, number: int) -> Process:
        """One of several consumers."""
        login = self.platform.postgres_env("clickstream_ingest", self.platform.state.ingest_password)
        name = {"CONSUMER_NAME": f"consumer-{number}"}
        return self._process(f"consumer-{number}", ["services.consumer", "run"], login | name | self._retention())

    def aggregator(self, *arguments: str, name: str = "aggregator") -> Process:
        """The aggregator: `run`, `run --once`, `verify`."""
        login = self.platform.postgres_env("clickstream_aggregate", self.platform.state.aggregate_password)
        return self._process(name, ["services.aggregator", *arguments], login | self._retention())

    def producer(self, *arguments: str) -> Process:
        """The producer: `simulate …` or `replay …`."""
        return self._process("producer", ["services.producer", *arguments], {}, cwd=Path.cwd())

    def _retention(self) -> dict[str, str]:
        if self.retention_days is None:
            return {}
        days = str(self.retention_days)
        return {"EVENT_RETENTION_DAYS": days, "ROLLUP_RETENTION_DAYS": f"traffic_minute={days}"}

    def _process(self, name: str, module: list[str], settings: Mapping[str, str], cwd: Path = _ROOT) -> Process:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(_OURS_TO_SET)}
        environment = {
            **inherited,
            "PYTHONPATH": str(_ROOT),
            "PYTHONUNBUFFERED": "1",
            "MONITORING_PORT": "0",
            **self.platform.kafka_env(),
            **settings,
        }
        log = self.platform.directory.logs / f"{name}.log"
        return Process(name, [sys.executable, "-m", *module], log, environment=environment, cwd=cwd)
