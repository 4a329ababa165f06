-- A metric of sessions is not additive over events. It becomes additive over changes: each touched session as it will
-- be (n = 1) and as the rollups have it (n = -1).
CREATE VIEW session_change AS
SELECT 1 AS n, s.*
FROM session_merged AS s
UNION ALL
SELECT -1, s.*
FROM session AS s
WHERE s.session_id IN (SELECT p.session_id FROM session_pending AS p);
