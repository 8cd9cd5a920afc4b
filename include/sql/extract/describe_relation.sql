-- Runs in PostgreSQL: the columns of a table or view with their types and the types behind domains, and its kind; no row
-- if it does not exist.
SELECT
    attname::text,
    format_type(atttypid, atttypmod) AS declared,
    CASE WHEN typbasetype = 0 THEN format_type(atttypid, atttypmod) ELSE format_type(typbasetype, typtypmod) END
        AS behind,
    relkind::text,
    reltuples::bigint
FROM pg_catalog.pg_attribute
JOIN pg_catalog.pg_class ON pg_class.oid = attrelid
JOIN pg_catalog.pg_type ON pg_type.oid = atttypid
WHERE attrelid = pg_catalog.to_regclass({relation}::text) AND attnum > 0 AND NOT attisdropped
