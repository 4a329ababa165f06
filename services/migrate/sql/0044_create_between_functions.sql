-- reporting.<name>_between(since, until): rows of an hourly rollup from the hour of `since` on up to `until`. Over more
-- than a week, whole days come from the daily rollup beside it. `time` is the hour, over more than a week the day; a key
-- may come twice: every query sums. PostgreSQL inlines such a function, so a query's own filters reach the tables.
CREATE FUNCTION create_between(name text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    columns text;
    signature text;
BEGIN
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
        string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
    INTO columns, signature
    FROM pg_attribute AS a
    WHERE a.attrelid = format('clickstream.%I', name || '_hour')::regclass AND a.attnum > 1 AND NOT a.attisdropped;
    EXECUTE format($function$
CREATE FUNCTION reporting.%1$I(since timestamptz, until timestamptz) RETURNS TABLE ("time" timestamptz, %2$s)
LANGUAGE sql STABLE
AS $body$
SELECT hour, %3$s
FROM reporting.%4$I
WHERE until - since <= interval '7 days' AND hour >= date_bin('1 hour', since, 'epoch') AND hour <= until
UNION ALL
SELECT day::timestamp AT TIME ZONE 'UTC', %3$s
FROM reporting.%5$I
WHERE until - since > interval '7 days'
    AND day > (since AT TIME ZONE 'UTC')::date AND day < (until AT TIME ZONE 'UTC')::date
UNION ALL
SELECT date_bin('1 day', hour, 'epoch'), %3$s
FROM reporting.%4$I
WHERE until - since > interval '7 days'
    AND (
        (hour >= date_bin('1 hour', since, 'epoch') AND hour < date_bin('1 day', since, 'epoch') + interval '1 day')
        OR (hour >= date_bin('1 day', until, 'epoch') AND hour <= until)
    )
$body$
$function$, name || '_between', signature, columns, name || '_hour', name || '_day');
END
$$;

SELECT create_between(name)
FROM unnest(ARRAY['page', 'element', 'product', 'session', 'source', 'path', 'page_visit', 'page_time']) AS t (name);

DROP FUNCTION create_between;
