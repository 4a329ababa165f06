-- What was clicked on each page. A click without an element has the empty text.
CREATE TABLE element_hour (
    hour      timestamptz NOT NULL,
    page_path text COLLATE "C" NOT NULL,
    element   text COLLATE "C" NOT NULL,
    clicks    bigint      NOT NULL,
    PRIMARY KEY (hour, page_path, element)
);

CREATE VIEW element_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    page_path,
    coalesce(element, '') AS element,
    count(*) AS clicks
FROM pending_event
WHERE event_type = 'click'
GROUP BY 1, 2, 3;
