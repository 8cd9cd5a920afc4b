-- Runs in PostgreSQL: the columns of a table or view with their types, and its kind; no row if it does not exist.
SELECT attname::text, format_type(atttypid, atttypmod), relkind::text, reltuples::bigint
FROM pg_attribute
JOIN pg_class ON pg_class.oid = attrelid
WHERE attrelid = to_regclass({relation}) AND attnum > 0 AND NOT attisdropped
