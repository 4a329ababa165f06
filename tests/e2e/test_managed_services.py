"""A broker and a database that somebody else runs, as docs/managed-services.md sets them up: TLS, and few rights."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e import managed_kafka, managed_postgres
from tests.e2e.certificates import Authority
from tests.e2e.cluster import Manifest, Namespace, ProgramError
from tests.e2e.database import Database
from tests.e2e.grafana import Grafana
from tests.e2e.helm import CHART
from tests.e2e.pods import secret
from tests.e2e.release import Release
from tests.e2e.tools import tools

pytestmark = pytest.mark.timeout(600)

WAYS = ("scram", "mtls")
VALUES = f"{CHART}/ci/external-values.yaml"


@dataclass(frozen=True)
class Managed:
    """Where both run, and who signed their certificates."""

    namespace: Namespace
    authority: Authority


@pytest.fixture(scope="module")
def services(managed: Namespace) -> Managed:
    """Both, with one account that may do what the documentation says and nothing more."""
    authority = Authority("managed services of tests")
    managed.apply(managed_kafka.manifests(managed.name, authority))
    managed.apply(managed_postgres.manifests(managed.name, authority, [f"clickstream_{way}" for way in WAYS]))
    managed.apply([tools("tools")])
    managed.wait_ready(1, managed_kafka.LABELS)
    managed.wait_ready(1, managed_postgres.LABELS)
    managed.wait_ready(1, {"app": "tools"})
    managed_kafka.grant_rights(managed, authority, [topic(way) for way in WAYS], "clickstream-consumer")
    return Managed(managed, authority)


@pytest.fixture(params=WAYS)
def release(request: pytest.FixtureRequest, services: Managed, namespace: Namespace) -> Iterator[Release]:
    """Installed with the values file of the documentation; only names and addresses differ."""
    way = request.param
    made = Release(
        namespace, "clickstream", Database(services.namespace, managed_postgres.LABELS, f"clickstream_{way}")
    )
    namespace.apply(secrets(way, services.authority))
    made.install("-f", VALUES, values=addresses(way, services.namespace.name))
    made.wait_for_events()
    yield made
    made.uninstall()
    for each in secrets(way, services.authority):
        namespace.core.delete_namespaced_secret(each["metadata"]["name"], namespace.name)


def test_events_flow_exactly_once_through_services_of_others(release: Release, services: Managed) -> None:
    """With TLS all the way, an account that may do little, and certificates that are really checked."""
    for component in ("producer", "consumer"):
        release.wait_rolled_out(component)
    release.start_load("load", events=20_000, per_second=2_000)
    release.finish_load("load")
    assert release.assert_exact("managed") > 19_000
    grafana_reads(release, services)
    the_server_is_held_to_its_name(release)


def grafana_reads(release: Release, services: Managed) -> None:
    """Its data source answers, and the server lets nobody in without TLS."""
    grafana = Grafana(release.namespace, release.name, services.namespace, "tools")
    assert grafana.get("/api/datasources/uid/clickstream-postgres/health")["status"] == "OK"


def the_server_is_held_to_its_name(release: Release) -> None:
    """The same server by its address, for which it has no certificate, is refused; so is talking to it in clear."""
    pod = release.namespace.ready_pods(release.labels("consumer"))[0]
    for variable, why in (("HOST", "does not match host name"), ("SSLMODE", "no pg_hba.conf entry")):
        with pytest.raises(ProgramError, match=why):
            release.namespace.execute(pod, ["python", "-c", CONNECT_OTHERWISE, variable])


CONNECT_OTHERWISE = """
import socket, sys
from services.common.postgres import connect
from services.common.settings import PostgresSettings, load
host = socket.gethostbyname(load(PostgresSettings).postgres_host)
other = {"HOST": {"postgres_host": host}, "SSLMODE": {"postgres_sslmode": "disable"}}[sys.argv[1]]
connect(load(PostgresSettings, **other), "test")
"""


def topic(way: str) -> str:
    """Each install has its own."""
    return f"clickstream.{way}.v1"


def secrets(way: str, authority: Authority) -> list[Manifest]:
    """What docs/managed-services.md tells to create."""
    certificate, key = authority.client(managed_kafka.USER)
    common = [
        secret("kafka-ca", {"ca.crt": authority.certificate}),
        secret("postgres-ca", {"ca.crt": authority.certificate}),
        secret("postgres-owner", {"password": managed_postgres.PASSWORD}),
    ]
    if way == "mtls":
        return [*common, secret("kafka-client", {"tls.crt": certificate, "tls.key": key})]
    return [*common, secret("kafka-login", {"username": managed_kafka.USER, "password": managed_kafka.PASSWORD})]


def addresses(way: str, namespace: str) -> Manifest:
    """Where the services are, and for mTLS the certificate in place of the login."""
    kafka, postgres = managed_kafka.host(namespace), managed_postgres.host(namespace)
    external: Manifest = {"bootstrapServers": f"{kafka}:{managed_kafka.SCRAM_PORT}"}
    if way == "mtls":
        external = {
            "bootstrapServers": f"{kafka}:{managed_kafka.MTLS_PORT}",
            "securityProtocol": "SSL",
            "sasl": {"existingSecret": ""},
            "tls": {"clientSecret": "kafka-client"},
        }
    database = f"clickstream_{way}"
    owner = {"username": managed_postgres.OWNER}
    return {
        "kafka": {"topic": topic(way), "external": external},
        "postgres": {"external": {"host": postgres, "database": database, "owner": owner}},
        "grafana": {"datasource": {"host": postgres, "database": database}},
    }
