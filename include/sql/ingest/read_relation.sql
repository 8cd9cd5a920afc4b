-- The rows of contiguous UTC days, or those without one, with the operator's day each belongs to and its capture.
SELECT
    NULL::BIGINT AS _row,
    NULL::VARCHAR AS _reject,
    {columns},
    {source_key} AS _source_key,
    operator_day({event_time}, {zone}, {earliest}) AS _day,
    chunks.digest AS chunk
FROM {relation} AS relation
JOIN (VALUES {chunks}) AS chunks(day, digest)
    ON chunks.day IS NOT DISTINCT FROM CASE WHEN isfinite(relation.{event_time}) THEN relation.{event_time}::DATE END
WHERE {within}
