-- How many rows are wrong in table and history, how many cannot be told, and from when to when those of the history are.
SELECT
    count(*) FILTER (WHERE verdict = 'table'),
    count(*) FILTER (WHERE verdict = 'history'),
    count(*) FILTER (WHERE verdict = 'unknown'),
    min(recorded_as_of) FILTER (WHERE verdict = 'history'),
    max(recorded_as_of) FILTER (WHERE verdict = 'history')
FROM (
    {edited}
) AS edited
