-- Runs in PostgreSQL: the columns of a table or view with their types, the types behind domains and the categories of these,
-- and its kind; no row if it does not exist. A domain may be over a domain.
WITH RECURSIVE steps AS (
    SELECT attnum, atttypid AS type, atttypmod AS modifier
    FROM pg_catalog.pg_attribute
    WHERE attrelid = pg_catalog.to_regclass({relation}::text) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT attnum, typbasetype, typtypmod
    FROM steps
    JOIN pg_catalog.pg_type ON pg_type.oid = type
    WHERE typtype = 'd'
)
SELECT
    attname::text,
    pg_catalog.format_type(atttypid, atttypmod) AS declared,
    pg_catalog.format_type(type, modifier) AS behind,
    typcategory::text,
    relkind::text,
    reltuples::bigint
FROM steps
JOIN pg_catalog.pg_type ON pg_type.oid = type AND typtype <> 'd'
JOIN pg_catalog.pg_attribute
    ON attrelid = pg_catalog.to_regclass({relation}::text) AND pg_attribute.attnum = steps.attnum
JOIN pg_catalog.pg_class ON pg_class.oid = attrelid
