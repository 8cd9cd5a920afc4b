-- Odd rows as they were captured.
SELECT _row, _source_key, _placed, _cells.*
FROM (
    SELECT _row, _source_key, _placed, unnest(_captured) AS _cells
    FROM {looked_over}
    WHERE _odd
)
