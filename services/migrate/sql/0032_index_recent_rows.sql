-- What goes on now is asked for all day: sessions by their end, dead letters by reason.
-- A BRIN index leaves the updates of a session's end as cheap as they are without one.
CREATE INDEX session_ended_at ON session USING brin (ended_at) WITH (pages_per_range = 16, autosummarize = on);

DROP INDEX dead_letter_failed_at;
CREATE INDEX dead_letter_failed_at ON dead_letter (failed_at) INCLUDE (reason);
