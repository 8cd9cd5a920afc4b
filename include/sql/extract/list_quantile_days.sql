-- Runs in PostgreSQL: days that cut a table into parts of about as many rows, from the statistics of its last ANALYZE;
-- none for a view or a table that was never analysed. A time zone's hours do not matter here.
SELECT DISTINCT bound::date
FROM pg_catalog.pg_stats, unnest(histogram_bounds::text::timestamp[]) AS bound
WHERE
    (schemaname, tablename) = (
        SELECT nspname, relname
        FROM pg_catalog.pg_class
        JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
        WHERE pg_class.oid = pg_catalog.to_regclass({relation}::text)
    )
    AND '"' || replace(attname, '"', '""') || '"' = {column}
    AND isfinite(bound)
    AND bound >= '0001-01-01'
ORDER BY 1
