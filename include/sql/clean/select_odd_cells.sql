-- Odd rows as they were captured.
SELECT _row, _reject, _source_key, _placed, _captured.*
FROM {looked_over}
WHERE _odd
