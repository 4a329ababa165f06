"""The end-to-end tests delete no namespace but their own: by the real client, on a small server of that API."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.cluster import ForeignNamespaceError, Namespace

NAME = "shop"


class Cluster(ThreadingHTTPServer):
    """Namespaces by name, as JSON; they are gone as soon as they are deleted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.namespaces: dict[str, dict[str, Any]] = {}

    def add(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """One more, with an id of its own."""
        self.namespaces[metadata["name"]] = {"metadata": {"uid": str(uuid4()), **metadata}}
        return self.namespaces[metadata["name"]]


class _Answering(BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        found = self.server.namespaces.get(self.path.rpartition("/")[2])
        self._answer(200 if found else 404, found)

    def do_POST(self) -> None:
        self._answer(201, self.server.add(self._body()["metadata"]))

    def do_DELETE(self) -> None:
        name = self.path.rpartition("/")[2]
        wanted = self._body().get("preconditions", {}).get("uid")
        if wanted in (None, self.server.namespaces[name]["metadata"]["uid"]):
            self._answer(200, self.server.namespaces.pop(name))
        else:
            self._answer(409)

    def log_message(self, *_: object) -> None:
        pass

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")

    def _answer(self, status: int, content: object = None) -> None:
        text = json.dumps(content or {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def namespace(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    named = {"cluster": "here", "user": "me"}
    content = {
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{cluster.server_port}"}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": named}],
        "current-context": "",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(content))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
    return Namespace(NAME, "here")


@pytest.mark.parametrize("labels", [None, {"app.kubernetes.io/managed-by": "somebody"}])
def test_a_namespace_of_others_is_never_deleted(
    cluster: Cluster, namespace: Namespace, labels: dict[str, str] | None
) -> None:
    theirs = cluster.add({"name": NAME, "labels": labels})
    for attempt in (namespace.create, namespace.delete):
        with pytest.raises(ForeignNamespaceError, match=f"namespace {NAME} of here was not made by these tests"):
            attempt()
    assert cluster.namespaces[NAME] is theirs


def test_a_namespace_that_an_earlier_run_left_is_made_anew(cluster: Cluster, namespace: Namespace) -> None:
    namespace.create()
    left = cluster.namespaces[NAME]
    namespace.create()
    assert cluster.namespaces[NAME]["metadata"]["uid"] != left["metadata"]["uid"]


def test_deleting_a_namespace_of_ours_leaves_none(cluster: Cluster, namespace: Namespace) -> None:
    namespace.create()
    namespace.delete()
    namespace.delete()
    assert cluster.namespaces == {}
