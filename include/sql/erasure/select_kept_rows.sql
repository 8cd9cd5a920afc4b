-- The rows of a file that stay.
SELECT *
FROM {rows}
WHERE NOT ({condition})
