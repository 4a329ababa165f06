"""The real PgBouncer in front of a test's database, where it is installed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from local.process import Process, primary_group
from tests.conftest import Database, folder_for_everyone
from tests.integration.pipeline import PASSWORDS, wait_until
from tests.integration.readings import free_port

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer: apt-get install pgbouncer")
_PORT_OF_EACH = {"listen_addr": "127.0.0.1", "unix_socket_dir": "", "auth_type": "scram-sha-256"}


@contextmanager
def pgbouncer(database: Database, **settings: object) -> Iterator[Database]:
    """The same database by way of a pooler, with all else as PgBouncer has it by default.

    As root, which PgBouncer refuses, it runs as `nobody`.
    """
    with folder_for_everyone() as folder:
        pooled = Database("127.0.0.1", free_port(), database.user, database.password, database.dbname)
        process = _process(folder, pooled.port, database, {**_PORT_OF_EACH, **settings})
        process.start()
        try:
            wait_until(lambda: _answers(pooled), f"PgBouncer to answer: {process.log_tail()}")
            yield pooled
        finally:
            process.kill()


def _process(folder: Path, port: int, database: Database, settings: dict[str, object]) -> Process:
    account = "nobody" if os.geteuid() == 0 else None
    logins = {database.user: database.password} | PASSWORDS
    users = folder / "users.txt"
    users.write_text("".join(f'"{user}" "{password}"\n' for user, password in logins.items()))
    lines = {"listen_port": port, "auth_file": users, **settings}
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={database.host} port={database.port}\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in lines.items())
    )
    for path in (users, configuration):
        path.chmod(0o600)
        if account:
            shutil.chown(path, account, primary_group(account))
    return Process("pgbouncer", [str(PROGRAM), str(configuration)], folder / "pgbouncer.log", user=account)


def _answers(pooled: Database) -> bool:
    try:
        with pooled.connect():
            return True
    except psycopg.OperationalError:
        return False
