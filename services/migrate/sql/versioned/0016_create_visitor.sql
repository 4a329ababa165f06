-- Works with: 0.1.0

-- Who was there on which site on which UTC day: a set, so that unique visitors are counted, not estimated.
CREATE TABLE visitor_day (
    site       text COLLATE "C" NOT NULL,
    visitor_id text COLLATE "C" NOT NULL,
    day        date NOT NULL,
    PRIMARY KEY (site, visitor_id, day)
);

-- Unique visitors of each site by UTC day, week (from Monday) and month. New: never seen before that period.
-- A late event can make somebody new earlier: then a later period loses what an earlier one gains.
-- OFFSET 0: each visitor of the tail is looked up, whatever the planner thinks of how many there are.
CREATE TABLE visitor_count (
    period       text COLLATE "C" NOT NULL,
    starts_on    date   NOT NULL,
    site         text COLLATE "C" NOT NULL,
    visitors     bigint NOT NULL,
    new_visitors bigint NOT NULL,
    PRIMARY KEY (period, starts_on, site)
);

-- Retention: how many of the visitors first seen in one week (from Monday, UTC) were there in another.
-- A late event can make somebody's first week an earlier one: then all his weeks move to that cohort.
-- OFFSET 0: each visitor of the tail is looked up, whatever the planner thinks of how many there are.
CREATE TABLE visitor_cohort (
    first_week  date   NOT NULL,
    active_week date   NOT NULL,
    site        text COLLATE "C" NOT NULL,
    visitors    bigint NOT NULL,
    PRIMARY KEY (first_week, active_week, site)
);
