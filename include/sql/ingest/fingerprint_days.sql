-- Run in PostgreSQL: rows and an order-free hash of their contents, by UTC day (NULL where the event time is missing or
-- infinite). Only the contract's columns are hashed, so that a column added to the source changes no day.
-- hash_record_extended needs PostgreSQL 14; its seed is not 0, since with 0 a NULL hashes like a zero.
SELECT
    CASE WHEN isfinite({event_time}) THEN {event_time}::date END AS day,
    count(*) AS rows,
    sum(hash_record_extended(row({columns}), 7)::numeric)::text AS fingerprint
FROM {relation}
GROUP BY 1
ORDER BY 1
