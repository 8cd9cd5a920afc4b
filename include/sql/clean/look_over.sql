-- Captured rows as plain values. The cells of a row that is odd are kept, for those who look closely: as a list of one,
-- since a list that is not there takes no room, and a struct takes that of all its cells.
WITH captured AS (
    SELECT _row, _reject, _source_key, {day} AS _placed, {raw}
    FROM {files}
),
plain AS (
    SELECT *, {plain}
    FROM captured
),
looked_at AS (
    SELECT *, {odd} AS _odd
    FROM plain
)
SELECT
    {values},
    _odd,
    _row,
    _source_key,
    _placed,
    CASE WHEN _odd THEN [struct_pack(_reject := _reject, {cells})] END AS _captured
FROM looked_at
