-- Captured rows with their operator day (NULL if the event time is unreadable or absurd) and their source object. Every
-- timestamp without a zone is UTC. The text and the instant have steps of their own: a day is made of the instant in three
-- places, and planning its expression once takes longer than reading a small file.
SELECT
    * EXCLUDE (_spelled, _happened),
    {source_key}
    operator_day(_happened, {zone}, {shifts}, {earliest}) AS _day
FROM (
    SELECT *, {event_time} AS _happened
    FROM (SELECT *, {spelled} AS _spelled FROM ({rows}))
)
