-- What captured files hold, by file and operator day: rows, an order-free fingerprint of their contents, and the newest
-- known time.
SELECT
    filename,
    _day,
    count(*) AS rows,
    sum(hash({contents})::HUGEINT)::VARCHAR AS fingerprint,
    max({known_time}) AS latest_known_time
FROM read_parquet({files}, filename = true, hive_partitioning = false)
GROUP BY filename, _day
