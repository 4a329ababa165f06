-- One session's events, for a drill-down. A robot's session can hold millions: the first thousand are shown, in the order
-- of the index, so that no more are read (see page_move for why rows are compared), and of the days that it lasted.
CREATE OR REPLACE FUNCTION reporting.session_event(of_session uuid) RETURNS TABLE (
    event_time timestamptz,
    event_type text,
    event_name text,
    page_path text,
    element text,
    product_id text,
    quantity integer,
    value numeric,
    currency text,
    referrer text,
    properties jsonb,
    event_id uuid
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = clickstream, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT s.started_at, s.ended_at, s.min_event_id, s.max_event_id,
            datemultirange(daterange(event_day(s.min_event_id), event_day(s.max_event_id), '[]')) AS days
        FROM reporting.session AS s
        WHERE s.session_id = of_session
    LOOP
        RETURN QUERY EXECUTE
            'SELECT i.event_time, i.event_type, i.event_name, i.page_path, i.element, i.product_id, i.quantity, i.value, '
            '    i.currency, i.referrer, i.properties, i.event_id '
            'FROM clickstream.event AS i '
            'WHERE (i.session_id, i.event_time) >= ($1, $2) AND (i.session_id, i.event_time) <= ($1, $3) '
            '    AND i.event_id BETWEEN $4 AND $5 AND (' || event_id_condition(found.days) || ') '
            'ORDER BY i.session_id, i.event_time, i.event_id '
            'LIMIT 1000'
            USING of_session, found.started_at, found.ended_at, found.min_event_id, found.max_event_id;
    END LOOP;
END
$$;
