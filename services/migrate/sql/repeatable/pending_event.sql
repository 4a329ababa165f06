-- The tail: what is stored and not yet rolled up. Every rollup's <name>_pending view stands on these.
-- A batch commits with its events, so no watermark has to guess what is complete.
CREATE OR REPLACE VIEW pending_batch AS
SELECT batch_id
FROM ingest_batch
WHERE NOT rolled_up;

CREATE OR REPLACE VIEW pending_event AS
SELECT e.*
FROM event AS e
WHERE e.batch_id = ANY (ARRAY(SELECT p.batch_id FROM pending_batch AS p));

-- What neither the rollups hold nor this pass adds: nothing in a live view; the rest of the tail in a limited pass.
CREATE OR REPLACE VIEW deferred_batch AS
SELECT b.batch_id
FROM ingest_batch AS b
WHERE NOT b.rolled_up
    AND b.batch_id NOT IN (SELECT p.batch_id FROM pending_batch AS p);

-- The UTC days of what is pending, as the ledger has them; null where nothing is.
CREATE OR REPLACE FUNCTION pending_days() RETURNS datemultirange
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT range_agg(daterange(d.day, d.day + 1))
    FROM ingest_batch AS b
    CROSS JOIN LATERAL unnest(b.event_days) AS d (day)
    WHERE NOT b.rolled_up;
END;
