-- The kind of the relation of this name, and which of its tables a crash would empty: itself, or partitions of it.
SELECT
    relation.relkind::text,
    ARRAY(
        SELECT part.relname::text
        FROM pg_catalog.pg_class AS part
        WHERE part.relpersistence = 'u'
          AND part.relkind = 'r'
          AND (
              part.oid = relation.oid
              OR part.oid IN (
                  SELECT inheritance.inhrelid
                  FROM pg_catalog.pg_inherits AS inheritance
                  WHERE inheritance.inhparent = relation.oid
              )
          )
        ORDER BY part.relname
    )
FROM pg_catalog.pg_class AS relation
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE namespace.nspname = %(schema)s AND relation.relname = %(relation)s
