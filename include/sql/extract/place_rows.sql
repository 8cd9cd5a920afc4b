-- Captured rows with their operator day (NULL if the event time is unreadable or absurd) and their source object. Every
-- timestamp without a zone is UTC.
SELECT
    *,
    {source_key} AS _source_key,
    operator_day({event_time}, {zone}, {earliest}) AS _day
FROM ({rows})
