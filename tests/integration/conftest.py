"""The services against databases with our schema."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.embedded import Platform, platform
from tests.conftest import Database, folder_for_everyone
from tests.integration.pipeline import Pipeline


@pytest.fixture
def pipeline(migrated: Database, broker: str, topic: str, tmp_path: Path) -> Iterator[Pipeline]:
    """Services to start, on a migrated database and a fresh topic."""
    running = Pipeline(migrated, broker, topic, tmp_path)
    yield running
    running.kill_all()


@pytest.fixture
def own_pipeline(own_platform: Platform, tmp_path: Path) -> Iterator[Pipeline]:
    """Services to start on `own_platform`, whose broker and database the test may kill."""
    server = own_platform.postgres
    database = Database(server.host, server.port, server.user, server.password, "clickstream")
    running = Pipeline(database, own_platform.kafka.bootstrap, "clickstream.events.v1", tmp_path)
    running.succeed(running.start("migrate", "migrate"))
    yield running
    running.kill_all()


@pytest.fixture(scope="module")
def servers() -> Iterator[Platform]:
    """A broker and a database server of this module's own, for tests that stop and start them."""
    with folder_for_everyone() as data, platform(data, postgres_settings={"fsync": "off"}) as running:
        yield running


@pytest.fixture
def stoppable(servers: Platform, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    """Services on a database and a topic of the test's own; both servers run again at its end."""
    name = f"t{abs(hash(request.node.name))}"
    postgres = servers.postgres
    postgres.create_database(name)
    database = Database(postgres.host, postgres.port, postgres.user, postgres.password, name)
    running = Pipeline(database, servers.kafka.bootstrap, name, tmp_path)
    running.succeed(running.start("migrate", "migrate"))
    yield running
    running.kill_all()
    for server in (servers.postgres, servers.kafka):
        if not server.running:
            server.start()
        server.wait_ready()
