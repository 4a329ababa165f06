-- No view is read here, only tables: who asks has locked views already, and a migration replaces these in its own order.
-- The days of what is pending, and of the sessions that it goes on with; null where nothing is pending.
CREATE OR REPLACE FUNCTION touched_days() RETURNS datemultirange
LANGUAGE plpgsql STABLE SET search_path = clickstream, pg_temp
AS $$
DECLARE
    days datemultirange := pending_days();
    of_sessions datemultirange;
BEGIN
    IF days IS NOT NULL THEN
        EXECUTE 'SELECT range_agg(daterange(event_day(s.min_event_id), event_day(s.max_event_id), ''[]'')) '
            'FROM clickstream.session AS s '
            'WHERE s.session_id IN ('
            '    SELECT e.session_id '
            '    FROM clickstream.event AS e '
            '    WHERE e.batch_id = ANY (ARRAY(SELECT b.batch_id FROM clickstream.ingest_batch AS b WHERE NOT b.rolled_up)) '
            '        AND (' || event_id_condition(days) || ')'
            ')'
            INTO of_sessions;
    END IF;
    RETURN days + coalesce(of_sessions, '{}');
END
$$;
