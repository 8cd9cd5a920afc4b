-- Schemas of a database that are not the server's own.
SELECT nspname
FROM pg_catalog.pg_namespace
WHERE nspname <> 'information_schema' AND NOT pg_catalog.starts_with(nspname, 'pg_')
ORDER BY nspname
