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
