-- Captured rows with the operator's day they belong to (NULL where the event time is unreadable or absurd) and where
-- they came from. Every timestamp without a zone is UTC.
SELECT
    *,
    {source_key} AS _source_key,
    operator_day({event_time}, {zone}, {earliest}) AS _day
FROM ({rows})
