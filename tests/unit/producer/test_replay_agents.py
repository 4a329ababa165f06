"""Replay: what asks whether a server lives is no visitor."""

from pathlib import Path

import pytest

from tests.unit.producer.replaying import FIREFOX, log_line, replay_lines


@pytest.mark.parametrize(
    "agent",
    [
        "Consul Health Check",
        "Envoy/HC",
        "kube-probe/1.29",
        "Prometheus/2.45.0",
        "Blackbox Exporter/0.24.0",
        "HAProxy",
        "ELB-HealthChecker/2.0",
        "Amazon-Route53-Health-Check-Service (ref 5d8c; report http://amzn.to/1vsZADi)",
        "Amazon CloudFront",
        "GoogleHC/1.0",
        "GoogleStackdriverMonitoring-UptimeChecks(https://cloud.google.com/monitoring)",
        "Azure Traffic Manager Endpoint Monitor",
        "Edge Health Probe",
        "Load Balancer Agent",
        "AlwaysOn",
        "ReadyForRequest/1.0 (AppService)",
        "HealthCheck/1.0 (AppService)",
        "Cloudflare-Healthchecks/1.0",
        "Cloudflare-Traffic-Manager/1.0",
        "Apache/2.4.62 (Debian) (internal dummy connection)",
        "OCI-LB-HealthCheck",
        "SLBHealthCheck",
        "clb-healthcheck",
        "nginx-healthcheck",
        "Datadog/Synthetics",
        "UptimeRobot/2.0",
        "check_http/v2.3 (monitoring-plugins 2.3)",
        "DigitalOcean Uptime Probe 0.22.0",
        "k6/0.49.0",
        "Traefik/3.1 Health-Check",
    ],
)
def test_a_health_check_is_no_page_view_of_a_person(tmp_path: Path, agent: str) -> None:
    replayed = replay_lines(tmp_path, log_line(agent=agent), log_line())
    assert len(replayed.messages) == 1
    assert dict(replayed.report.skipped) == {"bot": 1}


@pytest.mark.parametrize("agent", [FIREFOX, "Mozilla/5.0 (Linux; Android 14; Health Checkup) Chrome/126.0 Mobile", "-"])
def test_people_are_still_people(tmp_path: Path, agent: str) -> None:
    assert len(replay_lines(tmp_path, log_line(agent=agent)).messages) == 1
