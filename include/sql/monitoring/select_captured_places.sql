-- Captured rows at some places in the objects of the lake.
SELECT _source_key AS source_key, _row AS source_row, {cells}
FROM {rows}
WHERE (_source_key, _row) IN (SELECT (unnest($source_keys), unnest($source_rows)))
