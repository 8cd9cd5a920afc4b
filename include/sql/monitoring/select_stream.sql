-- How the stream did in the last hours, minute by minute.
SELECT minute, messages, batches, quarantined, late, age_max, lag, lag_seconds, away_seconds, max_age_seconds, seen_at
FROM {schema}.stream_minutes
WHERE minute >= %(since)s
ORDER BY minute
