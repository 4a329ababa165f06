"""The consumer as a process: what is on the topic is stored, each event once."""

from tests.integration.pipeline import Pipeline, scalar
from tests.integration.readings import assert_exactly_once
from tests.integration.sending import send_events

# How many days' partitions each batch's transaction has touched.
_NOTE_DAYS = """
CREATE TABLE clickstream.days_read (days integer);
CREATE FUNCTION clickstream.note_days() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO clickstream.days_read
    SELECT count(DISTINCT c.oid)
    FROM pg_locks AS l
    JOIN pg_class AS c ON c.oid = l.relation
    WHERE l.pid = pg_backend_pid() AND c.relkind = 'r' AND c.relispartition;
    RETURN NULL;
END $$;
CREATE TRIGGER note_days AFTER INSERT ON clickstream.ingest_batch
FOR EACH ROW EXECUTE FUNCTION clickstream.note_days();
"""


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


def test_known_ids_are_looked_for_in_their_own_days_alone(pipeline: Pipeline) -> None:
    with pipeline.database.connect() as session:
        session.execute("SELECT clickstream.create_event_partition(current_date - n) FROM generate_series(0, 60) AS n")
        session.execute(_NOTE_DAYS)
    pipeline.consumer()
    for _ in range(2):  # the second time, all are known
        send_events(pipeline.bootstrap, pipeline.topic, 300)
        pipeline.wait_until_stored()
    assert_exactly_once(pipeline)
    with pipeline.database.connect() as session:
        days = scalar(session, "SELECT max(days) FROM clickstream.days_read")
    assert int(str(days)) in range(1, 10)
