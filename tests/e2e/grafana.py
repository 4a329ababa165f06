"""Grafana's HTTP API, asked from a pod with our image: no Service of it leaves the cluster."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster import Namespace

_ASK = """
import base64, json, sys, urllib.error, urllib.request
url, user, password = sys.argv[1:]
headers = {}
if user:
    headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
try:
    answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30)
except urllib.error.HTTPError as error:
    answer = error
print(json.dumps([answer.status, json.loads(answer.read() or b"null")]))
"""


@dataclass(frozen=True)
class Grafana:
    """The Grafana of a release, asked from the pod `asker` of a namespace."""

    home: Namespace
    release: str
    asking: Namespace
    asker: str

    @property
    def password(self) -> str:
        """The administrator's, as the chart made it."""
        return base64.b64decode(self.home.secret(f"{self.release}-grafana-admin")["admin-password"]).decode()

    def get(self, path: str) -> Any:
        """What it answers to its administrator."""
        status, body = self.ask(path, "admin", self.password)
        assert status == 200, f"{path}: {status}: {body}"
        return body

    def ask(self, path: str, user: str = "", password: str = "") -> tuple[int, Any]:
        """The status and the answer to somebody who may have logged in."""
        url = f"http://{self.release}-grafana.{self.home.name}:3000{path}"
        answer = self.asking.execute(self.asker, ["python", "-c", _ASK, url, user, password])
        status, body = json.loads(answer)
        return status, body

    def rules(self) -> list[dict[str, Any]]:
        """Every alert rule as it stands: name, state, health."""
        groups = self.get("/api/prometheus/grafana/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]
