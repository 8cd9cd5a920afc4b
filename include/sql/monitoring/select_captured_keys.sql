-- Captured rows of a table, by their keys.
SELECT {key}::VARCHAR AS key, {cells}
FROM {rows}
WHERE {key}::VARCHAR IN (SELECT unnest($keys))
