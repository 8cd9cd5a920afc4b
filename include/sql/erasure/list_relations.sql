-- Relations of a schema that hold rows, each with its columns that can hold a text, or NULL. Partitioned tables are left out:
-- their partitions are listed.
SELECT relation.relname, relation.relkind, attribute.attname, pg_catalog.format_type(attribute.atttypid, attribute.atttypmod)
FROM pg_catalog.pg_class AS relation
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
LEFT JOIN (
    pg_catalog.pg_attribute AS attribute
    JOIN pg_catalog.pg_type AS type
        ON type.oid = attribute.atttypid
        AND (
            type.typcategory IN ('S', 'A')
            OR type.typname IN ('json', 'jsonb', 'bytea', 'xml', 'uuid')
            OR type.typtype IN ('c', 'd')
        )
) ON attribute.attrelid = relation.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
WHERE namespace.nspname = %(schema)s AND relation.relkind IN ('r', 'm', 'f')
ORDER BY relation.relname, attribute.attnum
