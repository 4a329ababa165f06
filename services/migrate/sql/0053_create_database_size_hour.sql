-- How large the database was, as housekeeping found it: by the hour, the latest of each.
CREATE TABLE database_size_hour (
    hour       timestamptz PRIMARY KEY,
    size_bytes bigint      NOT NULL
);

CREATE FUNCTION note_database_size() RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO clickstream.database_size_hour (hour, size_bytes)
    VALUES (date_bin('1 hour', now(), 'epoch'::timestamptz), pg_database_size(current_database()))
    ON CONFLICT (hour) DO UPDATE SET size_bytes = excluded.size_bytes;
END;

CREATE VIEW reporting.database_size_hour AS
SELECT * FROM database_size_hour;
