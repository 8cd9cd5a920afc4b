-- Runs in PostgreSQL. For each UTC day (NULL for rows without one) it returns the number of rows, an order-free hash of
-- their captured columns, and how many have an amount that is NaN. Columns that the contract does not name change no
-- day. There is no ORDER BY: PostgreSQL would sort all rows for it, since it expects as many days as there are
-- instants.
SELECT
    CASE WHEN {dated} THEN {event_time}::date END AS day,
    count(*) AS rows,
    sum({row_hash})::text AS fingerprint,
    count(*) FILTER (WHERE {has_nan}) AS nan
FROM {relation}
WHERE {within}
GROUP BY 1
