"""Ends what Grafana's role holds for too long: it may lift its own limits, and an old snapshot keeps vacuum waiting."""

from typing import LiteralString

from services.common.log import Logger
from services.common.postgres import Connection

# The role's own limits are 15 s a statement and 30 s idle: who is here longer has lifted them.
_SECONDS = 60.0
# Only a member of the role sees how old its transactions are, and may end them.
_END: LiteralString = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE usename = 'grafana_reader' AND datname = current_database() AND pg_has_role('grafana_reader', 'USAGE')
    AND xact_start < clock_timestamp() - make_interval(secs => %s)
"""


def end_long(connection: Connection, log: Logger, seconds: float = _SECONDS) -> None:
    """End the sessions of grafana_reader whose transaction is older than that."""
    row = connection.execute(_END, [seconds]).fetchone()
    if row and row[0]:
        log.warning("sessions of grafana_reader held a transaction for too long: ended", sessions=row[0])
