-- The values of one numeric column, and how many rows have each.
SELECT {column}::DOUBLE AS value, count(*) AS rows
FROM {source}
GROUP BY value
