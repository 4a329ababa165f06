-- Rollups that say all that the raw events say. One that is new, or whose row a migration deletes because it counts
-- something else from then on, is filled from the raw events by the last step of the migration.
CREATE TABLE rollup_filled (
    rollup    text COLLATE "C" PRIMARY KEY,
    filled_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO rollup_filled (rollup)
SELECT t.relname
FROM pg_class AS t
JOIN pg_class AS v ON v.relnamespace = t.relnamespace AND v.relname = t.relname || '_pending' AND v.relkind = 'v'
WHERE t.relnamespace = 'clickstream'::regnamespace AND t.relkind = 'r';
