-- Adds what a run has done since the last time. Counts add up, and what was true last stands.
INSERT INTO {table} AS told
    (minute, messages, batches, quarantined, late, age_max, lag, lag_seconds, away_seconds, max_age_seconds, seen_at)
VALUES (
    pg_catalog.date_trunc('minute', %(seen_at)s::timestamptz), %(messages)s, %(batches)s, %(quarantined)s, %(late)s, %(age_max)s,
    %(lag)s, %(lag_seconds)s, %(away_seconds)s, %(max_age_seconds)s, %(seen_at)s
)
ON CONFLICT (minute) DO UPDATE SET
    messages = told.messages + excluded.messages,
    batches = told.batches + excluded.batches,
    quarantined = told.quarantined + excluded.quarantined,
    late = told.late + excluded.late,
    age_max = greatest(told.age_max, excluded.age_max),
    lag = excluded.lag,
    lag_seconds = excluded.lag_seconds,
    away_seconds = greatest(told.away_seconds, excluded.away_seconds),
    max_age_seconds = excluded.max_age_seconds,
    seen_at = excluded.seen_at
