CREATE OR REPLACE VIEW path_hour_pending AS
SELECT hour, site, from_page, to_page, sum(n)::bigint AS moves
FROM page_move
GROUP BY 1, 2, 3, 4
HAVING sum(n) <> 0;
