-- The wanted chunks of a captured file that may hold others too. Not a join: of a condition like this the engine skips what
-- lies outside.
SELECT * EXCLUDE (_part)
FROM {file}
WHERE {wanted}
