"""A PostgreSQL that somebody else runs: TLS only, and a login for us that is no superuser but may create roles."""

import os

from tests.e2e.certificates import Authority
from tests.e2e.cluster import Manifest
from tests.e2e.pods import configuration, pod, secret, service, volume

IMAGE = os.environ.get("E2E_POSTGRES_IMAGE", "postgres:17")
OWNER, PASSWORD = "manager", "manager-of-tests"
LABELS = {"app": "postgres"}

_HBA = """
local   all all     trust
hostssl all all all scram-sha-256
"""
_INIT = f"CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD '{PASSWORD}';\n"


def host(namespace: str) -> str:
    """Its name in the cluster's DNS."""
    return f"postgres.{namespace}.svc.cluster.local"


def manifests(namespace: str, authority: Authority, databases: list[str]) -> list[Manifest]:
    """The server, with a certificate for its name, and empty databases that belong to the login."""
    certificate, key = authority.server(host(namespace))
    tls = {"ssl": "on", "ssl_cert_file": "/certificates/tls.crt", "ssl_key_file": "/certificates/tls.key"}
    settings = tls | {"hba_file": "/config/pg_hba.conf", "fsync": "off"}
    creation = "".join(f"CREATE DATABASE {name} OWNER {OWNER};\n" for name in databases)
    container = {
        "name": "postgres",
        "image": IMAGE,
        "args": [word for name, value in settings.items() for word in ("-c", f"{name}={value}")],
        "env": [
            {"name": "POSTGRES_USER", "value": "postgres"},
            {"name": "POSTGRES_PASSWORD", "value": "superuser-of-tests"},
            {"name": "PGDATA", "value": "/data/postgres"},
        ],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1"]}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
    }
    volumes = [
        volume("certificates", secret={"secretName": "postgres", "defaultMode": 0o440}),
        volume("config", configMap={"name": "postgres"}),
        volume("init", "/docker-entrypoint-initdb.d", configMap={"name": "postgres-init"}),
        volume("data", emptyDir={}),
        volume("run", "/var/run/postgresql", emptyDir={}),
        volume("tmp", emptyDir={}),
    ]
    return [
        secret("postgres", {"tls.crt": certificate, "tls.key": key}),
        configuration("postgres", {"pg_hba.conf": _HBA}),
        configuration("postgres-init", {"databases.sql": _INIT + creation}),
        service("postgres", LABELS, [5432]),
        pod("postgres", LABELS, container, volumes, user=999),
    ]
