-- Whether a file has a row of somebody.
SELECT true
FROM {rows}
WHERE {condition}
LIMIT 1
