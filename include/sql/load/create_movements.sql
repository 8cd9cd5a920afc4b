-- Players who are in another segment than a day, and than thirty days, before the newest as_of of the table, with the
-- feature that moved the score. Days are days of the operator's zone. A player who was not there then has no
-- from_segment; one who is not there now has no to_segment.
CREATE OR REPLACE VIEW {view} AS
WITH newest AS (
    SELECT max(as_of) AS as_of
    FROM {table}
),
periods AS (
    SELECT
        as_of,
        days,
        ((as_of AT TIME ZONE {zone}) - days * interval '1 day') AT TIME ZONE {zone} AS since
    FROM newest
    CROSS JOIN (VALUES (1), (30)) AS period (days)
)
SELECT
    periods.as_of,
    periods.since,
    periods.days,
    moved.user_id,
    moved.dimension,
    moved.from_segment,
    moved.to_segment,
    moved.reason,
    moved.before ->> moved.reason AS reason_from,
    moved.after ->> moved.reason AS reason_to
FROM periods
CROSS JOIN LATERAL (
    SELECT
        coalesce(present.user_id, past.user_id) AS user_id,
        seen.*,
        {reasons} AS reason,
        to_jsonb(past) AS before,
        to_jsonb(present) AS after
    FROM (
        SELECT user_id, {columns}
        FROM {history} AS history
        WHERE history.as_of = periods.as_of AND history.marketing_reason IS DISTINCT FROM 'gone'
    ) AS present
    FULL JOIN (
        SELECT user_id, {columns}
        FROM {history} AS history
        WHERE history.as_of = periods.since AND history.marketing_reason IS DISTINCT FROM 'gone'
    ) AS past USING (user_id)
    CROSS JOIN LATERAL (
        {dimensions}
    ) AS seen (dimension, from_segment, to_segment)
    WHERE seen.from_segment IS DISTINCT FROM seen.to_segment
) AS moved
-- Without a run of that day everybody would seem to be new. Not EXISTS, for which the whole history would be read.
WHERE (SELECT true FROM {history} AS history WHERE history.as_of = periods.since LIMIT 1)
