-- Rows that were looked over and are not odd.
SELECT
    {columns},
    NULL::VARCHAR AS _fault,
    NULL::VARCHAR[] AS _discarded,
    NULL::VARCHAR[] AS _protection,
    _row,
    _source_key,
    coalesce(_placed, DATE '0001-01-01') AS _day,
    {known} AS _known,
    NULL::JSON AS _raw,
    {number} AS _id
FROM {looked_over}
WHERE NOT _odd
