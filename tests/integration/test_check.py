"""`python -m services.check`, which `helm test` runs: it passes when events flow, and says what is wrong when not."""

from tests.integration.pipeline import Pipeline


def test_marked_events_are_found_with_the_eyes_of_a_dashboard(pipeline: Pipeline) -> None:
    pipeline.consumer()
    log = pipeline.succeed(pipeline.start("check", "check", role="grafana_reader", CHECK_EVENTS="50"))
    assert "marked events are in reporting" in log


def test_a_consumer_that_is_away_is_named(pipeline: Pipeline) -> None:
    line = pipeline.fail(pipeline.start("check", "check", role="grafana_reader", CHECK_DEADLINE_SECONDS="4"))
    assert line == "error: after 4 s: 0 of 50 marked events are in reporting — look at the consumer's log"


def test_a_broker_that_is_away_is_named(pipeline: Pipeline) -> None:
    away = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "CHECK_DEADLINE_SECONDS": "2"}
    line = pipeline.fail(pipeline.start("check", "check", role="grafana_reader", **away))
    assert line.startswith("error: broker at 127.0.0.1:1: 50 of 50 marked events were not delivered: ")
