-- Run in PostgreSQL, by UTC day (NULL for rows without one): how many rows, an order-free hash of what is captured of
-- them, and how many have an amount that is NaN. A column that the contract does not name changes no day. In no order: to
-- give one, PostgreSQL would sort all rows, since it takes every instant for a day of its own.
SELECT
    CASE WHEN {dated} THEN {event_time}::date END AS day,
    count(*) AS rows,
    sum({row_hash})::text AS fingerprint,
    count(*) FILTER (WHERE {has_nan}) AS nan
FROM {relation}
WHERE {within}
GROUP BY 1
