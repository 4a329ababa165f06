"""What is in PostgreSQL, asked in its own pod as its owner: nothing of ours stands between."""

import json
from typing import Any

from tests.e2e.cluster import Labels, Namespace, ProgramError, wait_until

# A server that stops or starts, or a pod that ends while it is asked.
_AWAY = ("exit code 2", "exit code 137", "can't run", "connection broke", "container not found")
# Within the pod the official image trusts its socket.
_PSQL = (
    'exec psql --no-psqlrc --quiet --tuples-only --no-align --username "$POSTGRES_USER" --dbname "$0" --command "$1"'
)


class Database:
    """A database; its server is the pod that the labels find."""

    def __init__(self, namespace: Namespace, labels: Labels, database: str = "clickstream") -> None:
        self._namespace, self._name, self._labels = namespace, database, labels

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query, in one snapshot."""
        answer = self.execute(f"SELECT coalesce(json_agg(row), '[]') FROM ({query}) AS row")
        found: list[dict[str, Any]] = json.loads(answer)
        return found

    def value(self, query: str) -> Any:
        """The one value of a query."""
        (row,) = self.rows(query)
        (value,) = row.values()
        return value

    def execute(self, statement: str) -> str:
        """Run a statement, when the server can be reached; returns what psql prints."""
        answers: list[str] = []

        def answered() -> bool:
            (pod,) = self._namespace.wait_ready(1, self._labels)
            try:
                answers.append(self._namespace.execute(pod, ["sh", "-c", _PSQL, self._name, statement]))
            except ProgramError as error:
                if any(sign in str(error) for sign in _AWAY):
                    return False
                raise
            return True

        wait_until(answered, "PostgreSQL to answer", 60, self._namespace.report)
        return answers[0]

    def positions(self) -> dict[int, int]:
        """Where each partition stands."""
        rows = self.rows("SELECT partition, next_offset FROM reporting.partition_offset")
        return {row["partition"]: row["next_offset"] for row in rows}

    def stored(self) -> int:
        """Events that consumers say they stored."""
        return int(self.value("SELECT coalesce(sum(stored), 0) FROM reporting.partition_offset"))
