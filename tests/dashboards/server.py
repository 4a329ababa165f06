"""A Grafana server of a test's own: the program that TEST_GRAFANA names, on the repository's files and a database."""

import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from local.process import Process
from local.state import free_ports
from tests.conftest import Database
from tests.dashboards.files import ROOT
from tests.integration.pipeline import PASSWORDS, wait_until

COMMAND = os.environ.get("TEST_GRAFANA", "").split()
_LOGIN = b64encode(b"admin:admin-of-tests").decode()


class Receiver:
    """A webhook's other end: what alerts were told, as (name, status)."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.extend((alert["labels"]["alertname"], alert["status"]) for alert in body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


class Server:
    """Its HTTP API, as the administrator."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def call(self, path: str, body: object = None) -> Any:
        """GET, or POST with a body."""
        request = urllib.request.Request(  # noqa: S310 (our own server)
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {_LOGIN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def alive(self) -> bool:
        """It answers."""
        try:
            return bool(self.call("/api/health")["database"] == "ok")
        except (urllib.error.URLError, ConnectionError):
            return False

    def states(self) -> dict[str, str]:
        """Every rule's state, evaluated now: the lab's stand-in does so when asked."""
        answer = self.call("/standin/evaluate?for=0s", {})
        return {rule["name"]: rule["state"] for group in answer["data"]["groups"] for rule in group["rules"]}


@contextmanager
def grafana(database: Database, folder: Path, webhook: str) -> Iterator[Server]:
    """Running, on the repository's dashboards and alert rules; all alerts go to the webhook."""
    [port] = free_ports(0)
    _provision(folder / "provisioning", database, webhook)
    (folder / "data").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "GF_PATHS_DATA": str(folder / "data"),
        "GF_PATHS_PROVISIONING": str(folder / "provisioning"),
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_SECURITY_ADMIN_PASSWORD": "admin-of-tests",
        "RUNBOOKS_URL": "https://example.com/runbooks/",
    }
    process = Process("grafana", COMMAND, folder / "grafana.log", environment=environment)
    process.start()
    try:
        server = Server(port)
        wait_until(lambda: not process.running or server.alive(), "Grafana to answer", 60)
        assert process.running, process.log_tail()
        yield server
    finally:
        process.stop(10)


def _provision(folder: Path, database: Database, webhook: str) -> None:
    source = {
        "name": "Clickstream",
        "uid": "clickstream-postgres",
        "type": "grafana-postgresql-datasource",
        "url": f"{database.host}:{database.port}",
        "user": "grafana_reader",
        "isDefault": True,
        "jsonData": {"database": database.dbname, "sslmode": "disable"},
        "secureJsonData": {"password": PASSWORDS["grafana_reader"]},
    }
    provider = {"name": "c", "folder": "C", "type": "file", "options": {"path": f"{ROOT}/grafana/dashboards"}}
    receiver = {"uid": "webhook", "type": "webhook", "settings": {"url": webhook}}
    points = [{"orgId": 1, "name": "webhook", "receivers": [receiver]}]
    files = {
        "datasources/c.yaml": {"apiVersion": 1, "datasources": [source]},
        "dashboards/c.yaml": {"apiVersion": 1, "providers": [provider]},
        "alerting/contact.yaml": {"apiVersion": 1, "contactPoints": points},
        "alerting/policy.yaml": {"apiVersion": 1, "policies": [{"orgId": 1, "receiver": "webhook"}]},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))  # JSON is YAML
    for file in (ROOT / "grafana" / "alerting").glob("*.yaml"):
        (folder / "alerting" / file.name).write_text(file.read_text())
