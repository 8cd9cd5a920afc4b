INSERT INTO {table} ({columns}, gone, updated_at)
SELECT {columns}, false, pg_catalog.clock_timestamp()
FROM (
    {deleted}
) AS deleted
