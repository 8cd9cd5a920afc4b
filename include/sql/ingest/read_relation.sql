-- The rows of contiguous UTC days, with the operator's day each belongs to and the capture it goes to.
SELECT
    NULL::BIGINT AS _row,
    NULL::VARCHAR AS _reject,
    {columns},
    {source_key} AS _source_key,
    operator_day({event_time}, {zone}, {earliest}) AS _day,
    chunks.digest AS chunk
FROM {relation} AS relation
JOIN (VALUES {chunks}) AS chunks(day, digest) ON chunks.day = relation.{event_time}::DATE
WHERE relation.{event_time} >= {first}::TIMESTAMP AND relation.{event_time} < {last}::TIMESTAMP
