-- A metric of sessions is not additive over events. It becomes additive over changes: each touched session as it will
-- be (n = 1) and as the rollups have it (n = -1). OFFSET 0: each is looked up, whatever the planner thinks of the tail.
CREATE OR REPLACE VIEW session_change AS
SELECT 1 AS n, s.*
FROM session_merged AS s
UNION ALL
SELECT -1, s.*
FROM session_pending AS p
CROSS JOIN LATERAL (SELECT t.* FROM session AS t WHERE t.session_id = p.session_id OFFSET 0) AS s;
