"""A webhook's other end in the cluster: a pod with our image that writes into its log what alerts it is told."""

import json
from dataclasses import dataclass

from tests.e2e.cluster import Manifest, Namespace
from tests.e2e.pods import pod, service, volume
from tests.e2e.tools import IMAGE

LABELS = {"app": "webhook"}
PORT, OTHER_PORT = 8080, 8081

_PROGRAM = """
import json, signal, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in body["alerts"]:
            told = {
                "port": self.server.server_port,
                "path": self.path,
                "name": alert["labels"]["alertname"],
                "status": alert["status"],
                "runbook": alert["annotations"].get("runbook_url", ""),
            }
            print(json.dumps(told), flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
servers = [ThreadingHTTPServer(("", int(port)), Handler) for port in sys.argv[1:]]
for other in servers[1:]:
    threading.Thread(target=other.serve_forever, daemon=True).start()
servers[0].serve_forever()
"""
_LINES = 2_000


@dataclass(frozen=True)
class Told:
    """An alert as a notification had it."""

    port: int
    path: str
    name: str
    status: str
    runbook: str


def url(namespace: str, port: int = PORT) -> str:
    """Where it listens, with a path that only those know who were told it."""
    return f"http://webhook.{namespace}.svc.cluster.local:{port}/path-of-tests"


def manifests() -> list[Manifest]:
    """The pod, which listens on both ports and is ready when it does on the other, and its Service."""
    container = {
        "name": "webhook",
        "image": IMAGE,
        "command": ["python", "-c", _PROGRAM, str(PORT), str(OTHER_PORT)],
        "readinessProbe": {"tcpSocket": {"port": OTHER_PORT}, "periodSeconds": 2},
    }
    return [
        service("webhook", LABELS, [PORT, OTHER_PORT]),
        pod("webhook", LABELS, container, [volume("tmp", emptyDir={})], user=10001),
    ]


def told(namespace: Namespace, name: str) -> list[Told]:
    """What it was told of an alert, in order."""
    lines = namespace.logs(LABELS, lines=_LINES).splitlines()
    everything = [Told(**json.loads(line)) for line in lines if line.startswith("{")]
    return [alert for alert in everything if alert.name == name]
