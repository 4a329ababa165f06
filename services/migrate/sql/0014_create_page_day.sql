-- Pages by UTC day, for long time ranges.
CREATE TABLE page_day (
    day          date   NOT NULL,
    page_path    text COLLATE "C" NOT NULL,
    events       bigint NOT NULL,
    views        bigint NOT NULL,
    clicks       bigint NOT NULL,
    scrolls      bigint NOT NULL,
    form_submits bigint NOT NULL,
    PRIMARY KEY (day, page_path)
);

CREATE VIEW page_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    page_path,
    sum(events)::bigint AS events,
    sum(views)::bigint AS views,
    sum(clicks)::bigint AS clicks,
    sum(scrolls)::bigint AS scrolls,
    sum(form_submits)::bigint AS form_submits
FROM page_hour_pending
GROUP BY 1, 2;
