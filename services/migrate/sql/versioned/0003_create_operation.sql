-- Works with: 0.1.0

-- One row a run of the aggregator.
CREATE TABLE aggregator_run (
    run_id             bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    started_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at        timestamptz,
    passes             integer     NOT NULL DEFAULT 0,
    batches            bigint      NOT NULL DEFAULT 0,
    events             bigint      NOT NULL DEFAULT 0,
    rollup_rows        bigint      NOT NULL DEFAULT 0,
    seconds            real        NOT NULL DEFAULT 0,
    partitions_created integer     NOT NULL DEFAULT 0,
    partitions_dropped integer     NOT NULL DEFAULT 0,
    rows_expired       bigint      NOT NULL DEFAULT 0,
    error              text COLLATE "C"
);

COMMENT ON COLUMN aggregator_run.seconds IS 'time spent in passes and housekeeping, waiting not counted';

CREATE INDEX aggregator_run_started_at ON aggregator_run (started_at);

-- What `verify` found: one row a rollup that was compared.
CREATE TABLE verification (
    verified_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    rollup      text COLLATE "C" NOT NULL,
    since       timestamptz,
    rows        bigint      NOT NULL,
    drift_rows  bigint      NOT NULL,
    PRIMARY KEY (verified_at, rollup)
);

-- Rollups whose oldest rows were dropped, and from when on they are complete.
CREATE TABLE rollup_horizon (
    rollup text COLLATE "C" PRIMARY KEY,
    since  timestamptz NOT NULL
);

-- Rollups that say all that the raw events say. One that is new, or that counts something else than before, is filled
-- from the raw events by the last step of the migration.
CREATE TABLE rollup_filled (
    rollup    text COLLATE "C" PRIMARY KEY,
    filled_at timestamptz NOT NULL DEFAULT now()
);

-- The ledger by the minute, for long time ranges: several batches a second are too many rows for a chart of a month.
-- Not a rollup of events, so no <name>_pending view: the aggregator sums up the last quarter of an hour anew each run,
-- which is longer than any batch takes from its time stamp to its commit; what is younger is read from the ledger.
CREATE TABLE ingest_minute (
    minute                timestamptz PRIMARY KEY,
    batches               bigint      NOT NULL,
    received              bigint      NOT NULL,
    stored                bigint      NOT NULL,
    duplicate             bigint      NOT NULL,
    dead                  bigint      NOT NULL,
    lost                  bigint      NOT NULL,
    bytes                 bigint      NOT NULL,
    seconds               double precision NOT NULL,
    lag_messages          bigint,
    freshness_p50_seconds real,
    freshness_p95_seconds real,
    freshness_p99_seconds real
);

COMMENT ON COLUMN ingest_minute.lag_messages IS 'of the partition and batch where it was worst';
COMMENT ON COLUMN ingest_minute.freshness_p95_seconds IS 'of the batch where it was worst; so are the other two';

-- How large the database was, as housekeeping found it: by the hour, the latest of each.
CREATE TABLE database_size_hour (
    hour       timestamptz PRIMARY KEY,
    size_bytes bigint      NOT NULL
);
