-- The rows of some UTC days by canonical names. It runs in PostgreSQL or, if no column must be converted, in the
-- engine, which reads the pages of a table in parallel.
SELECT {columns}, {reject} AS _reject
FROM {relation}
WHERE {within}
