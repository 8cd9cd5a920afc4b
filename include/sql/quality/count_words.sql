-- The most frequent values of one column, and how many distinct values there are.
SELECT value, count(*) AS rows, count(value) OVER () AS distinct_values, sum(count(*)) OVER () AS all_rows
FROM (SELECT {column}::VARCHAR AS value FROM {source})
GROUP BY value
ORDER BY (value IS NULL) DESC, rows DESC, value
LIMIT 31
