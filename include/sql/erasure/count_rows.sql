-- How many rows of a file go, by chunk, day and reason.
SELECT
    {chunk}::VARCHAR AS chunk,
    {day}::VARCHAR AS day,
    regexp_replace({reason}::VARCHAR, ' \([0-9]+ bytes?\)$', '') AS why,
    count(*) AS number
FROM {rows}
WHERE {condition}
GROUP BY ALL
-- Without any column to group by there is a row of nothing.
HAVING count(*) > 0
