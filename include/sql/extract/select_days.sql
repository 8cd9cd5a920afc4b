-- The rows of some UTC days by canonical names. It runs in PostgreSQL or, where no column has to be converted, in the
-- engine, which reads the pages of a table side by side.
SELECT {columns}
FROM {relation}
WHERE {within}
