-- Run in PostgreSQL: rows and an order-free hash of their contents, by UTC day. Only the contract's columns are hashed,
-- so that a column added to the source changes no day. hash_record_extended needs PostgreSQL 14.
SELECT
    {event_time}::date AS day,
    count(*) AS rows,
    sum(hash_record_extended(row({columns}), 0)::numeric)::text AS fingerprint
FROM {relation}
WHERE isfinite({event_time})
GROUP BY 1
ORDER BY 1
