"""Sites all the way: from the producer's options and a log's virtual hosts into the table."""

from pathlib import Path

from tests.integration.pipeline import Pipeline
from tests.unit.producer.replaying import log_line, write

VIRTUAL_HOSTS = ("www.shop.example:443 ", "shop.example:80 ", "blog.example:80 ", "")


def stored(pipeline: Pipeline, what: str) -> list[tuple[object, ...]]:
    """What is stored of all events, sorted."""
    pipeline.wait_until_stored()
    with pipeline.database.connect() as session:
        return session.execute(f"SELECT {what} FROM clickstream.event ORDER BY 1".encode()).fetchall()


def test_visitors_of_several_sites_are_stored_apart_and_custom_events_by_name(pipeline: Pipeline) -> None:
    pipeline.consumer()
    given = ("--events", "4000", "--seed", "1", "--site", "shop.example", "--site", "https://www.blog.example")
    pipeline.succeed(pipeline.start("producer", "producer", "simulate", *given))
    assert set(stored(pipeline, "site")) == {("shop.example",), ("blog.example",)}
    visitors = {visitor for visitor, _ in stored(pipeline, "visitor_id, site")}
    assert len(set(stored(pipeline, "visitor_id, site"))) == len(visitors), "each is of one site"
    named = set(stored(pipeline, "event_type = 'custom', event_name IS NULL"))
    assert named == {(True, False), (False, True)}


def test_a_log_replayed_for_another_site_is_stored_again_and_for_the_same_one_not(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    pipeline.consumer(EVENT_RETENTION_DAYS="0", DEFAULT_SITE="Kiosk")
    log = str(write(tmp_path / "access.log", *(log_line(before=host) for host in VIRTUAL_HOSTS)))
    by_host = [("blog.example",), ("kiosk",), ("shop.example",), ("shop.example",)]
    for number, arguments in enumerate([(), (), ("--site", "app"), ("--site", "App"), ("--site", "https://www.app/")]):
        pipeline.succeed(pipeline.start(f"replay-{number}", "producer", "replay", log, *arguments))
        expected = by_host if number < 2 else [*[("app",)] * 4, *by_host]
        assert stored(pipeline, "site") == expected, arguments
