-- What a captured file holds by operator day, or by object and operator day: the number of rows, an order-free fingerprint
-- of their contents, and the newest known time.
SELECT
    {by},
    count(*) AS rows,
    sum(hash({contents})::HUGEINT + CASE WHEN _reject IS NULL THEN 0 ELSE hash(_reject) END)::VARCHAR AS fingerprint,
    max({known_time}) AS latest_known_time
FROM (SELECT *, {spelled} AS _spelled FROM read_parquet({file}, hive_partitioning = false))
GROUP BY {by}
