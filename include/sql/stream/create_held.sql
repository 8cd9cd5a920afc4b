-- The accepted rows of a source of the days that are held: no two have one business key and day. A hash of both finds them.
CREATE TABLE {held} AS
SELECT
    {columns},
    NULL::VARCHAR[] AS _protection,
    NULL::BIGINT AS _row,
    NULL::VARCHAR AS _source_key,
    NULL::DATE AS _day,
    NULL::TIMESTAMP AS _known,
    NULL::UBIGINT AS _keyed
WHERE false
