-- The two halves of reporting.session, for what wants the newest few: each can be sorted and cut by itself. A session
-- with pending events is in both; in the tail it is as it should be.
CREATE OR REPLACE VIEW reporting.session_settled AS
SELECT * FROM session;

CREATE OR REPLACE VIEW reporting.session_tail AS
SELECT * FROM session WHERE false  -- its columns' collations; a function has none
UNION ALL
SELECT * FROM reporting.session_tail();
