-- What was viewed and clicked on each page.
CREATE TABLE page_hour (
    hour         timestamptz NOT NULL,
    page_path    text COLLATE "C" NOT NULL,
    events       bigint      NOT NULL,
    views        bigint      NOT NULL,
    clicks       bigint      NOT NULL,
    scrolls      bigint      NOT NULL,
    form_submits bigint      NOT NULL,
    PRIMARY KEY (hour, page_path)
);

CREATE VIEW page_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    page_path,
    count(*) AS events,
    count(*) FILTER (WHERE event_type = 'page_view') AS views,
    count(*) FILTER (WHERE event_type = 'click') AS clicks,
    count(*) FILTER (WHERE event_type = 'scroll') AS scrolls,
    count(*) FILTER (WHERE event_type = 'form_submit') AS form_submits
FROM pending_event
GROUP BY 1, 2;
