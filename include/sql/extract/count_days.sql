-- What a captured file holds by operator day, or by chunk and operator day: the number of rows, an order-free fingerprint of
-- their contents, and the newest known time. Python has none after the
-- year 9999.
SELECT
    * EXCLUDE (newest),
    CASE WHEN newest >= TIMESTAMP '10000-01-01' THEN TIMESTAMP '9999-12-31 23:59:59.999999' ELSE newest END
        AS latest_known_time
FROM (
    SELECT
        {by},
        count(*) AS rows,
        sum(hash({contents})::HUGEINT + CASE WHEN _reject IS NULL THEN 0 ELSE hash(_reject) END)::VARCHAR AS fingerprint,
        max({known_time}) AS newest
    FROM (SELECT *, {spelled} AS _spelled FROM read_parquet({file}, hive_partitioning = false))
    GROUP BY {by}
)
