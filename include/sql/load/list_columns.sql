SELECT
    attribute.attname,
    pg_catalog.format_type(attribute.atttypid, attribute.atttypmod),
    NOT attribute.attnotnull,
    coalesce(attribute.attnum = ANY(primary_key.indkey), false)
FROM pg_catalog.pg_class AS relation
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
JOIN pg_catalog.pg_attribute AS attribute
    ON attribute.attrelid = relation.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
LEFT JOIN pg_catalog.pg_index AS primary_key ON primary_key.indrelid = relation.oid AND primary_key.indisprimary
WHERE namespace.nspname = %(schema)s AND relation.relname = %(table)s AND relation.relkind IN ('r', 'p')
ORDER BY attribute.attnum
