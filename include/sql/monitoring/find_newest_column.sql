-- Whether the table has the column that was added last.
SELECT
FROM pg_catalog.pg_attribute
WHERE attrelid = pg_catalog.to_regclass(%(table)s::text) AND attname = 'store_bytes' AND NOT attisdropped
