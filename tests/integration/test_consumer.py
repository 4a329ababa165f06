"""The consumer as a process: what is on the topic is stored, each event once."""

from tests.integration.pipeline import Pipeline, scalar


def test_every_simulated_event_is_stored_once_and_the_books_balance(pipeline: Pipeline) -> None:
    pipeline.consumer()
    producer = pipeline.start(
        "producer",
        "producer",
        "simulate",
        "--events",
        "5000",
        "--seed",
        "1",
        "--duplicates",
        "0.05",
        "--invalid",
        "0.02",
    )
    pipeline.succeed(producer)
    pipeline.wait_until_stored()
    with pipeline.database.connect() as session:
        books = (
            "SELECT sum(received), sum(stored), sum(duplicate), sum(dead), sum(lost) FROM reporting.partition_offset"
        )
        received, stored, duplicate, dead, lost = map(int, session.execute(books).fetchone() or ())
        events = scalar(session, "SELECT count(*) FROM clickstream.event")
    assert received == 5000
    assert stored == events
    assert (duplicate > 0, dead > 0, lost) == (True, True, 0)
    assert received == stored + duplicate + dead
