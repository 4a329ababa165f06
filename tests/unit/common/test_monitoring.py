"""Health and metrics as a probe sees them, over HTTP."""

from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from prometheus_client import Counter

from services.common.errors import UserError
from services.common.monitoring import Health, serve

_SEEN = Counter("test_monitoring_seen", "Counts for this test")


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def port(health: Health) -> Iterator[int]:
    server = serve(0, health)
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def _get(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


def test_a_service_is_alive_but_not_ready_while_it_starts(port: int) -> None:
    assert _get(port, "/healthz") == (200, "ok\n")
    assert _get(port, "/readyz") == (503, "starting\n")


def test_a_service_is_ready_until_it_says_why_not(port: int, health: Health) -> None:
    health.ready()
    assert _get(port, "/readyz") == (200, "ok\n")
    health.not_ready("PostgreSQL is away")
    assert _get(port, "/readyz") == (503, "PostgreSQL is away\n")
    assert _get(port, "/healthz") == (200, "ok\n")


def test_a_loop_that_no_longer_comes_round_is_not_alive() -> None:
    stalled = Health(stall_seconds=0)
    assert stalled.liveness()[0] == 503
    assert "main loop" in stalled.liveness()[1]


def test_a_loop_that_comes_round_stays_alive(port: int, health: Health) -> None:
    health.tick()
    assert _get(port, "/healthz?verbose") == (200, "ok\n")


def test_metrics_are_in_prometheus_text_format(port: int) -> None:
    _SEEN.inc(3)
    status, text = _get(port, "/metrics")
    assert status == 200
    assert "test_monitoring_seen_total 3.0" in text


def test_any_other_path_names_those_that_there_are(port: int) -> None:
    assert _get(port, "/") == (404, "try /healthz, /readyz or /metrics\n")


def test_a_port_that_is_taken_is_one_line_that_names_the_variable(port: int) -> None:
    with pytest.raises(UserError, match=f"MONITORING_PORT={port}: .*choose another, or 0"):
        serve(port, Health())


def test_a_dependency_that_gives_no_answer_makes_a_service_not_ready_but_alive() -> None:
    health = Health(stall_seconds=1e-9, answer_seconds=0)
    health.ready()
    health.waits_for("PostgreSQL at db:5432/x")
    assert health.readiness() == (503, "PostgreSQL at db:5432/x: no answer for 0 s")
    assert health.liveness() == (200, "ok")
    health.has_answer()
    assert health.readiness() == (200, "ok")
