-- The kind of the relation of this name, which of its tables a crash would empty (itself, or partitions of it at any level),
-- and which tables inherit from it without being partitions.
WITH RECURSIVE relation AS (
    SELECT class.oid, class.relkind
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE namespace.nspname = %(schema)s AND class.relname = %(relation)s
),
part AS (
    SELECT relation.oid FROM relation
    UNION
    SELECT inheritance.inhrelid
    FROM part
    JOIN pg_catalog.pg_inherits AS inheritance ON inheritance.inhparent = part.oid
)
SELECT
    relation.relkind::text,
    ARRAY(
        SELECT class.relname::text
        FROM part
        JOIN pg_catalog.pg_class AS class ON class.oid = part.oid
        WHERE class.relpersistence = 'u' AND class.relkind = 'r'
        ORDER BY class.relname
    ),
    ARRAY(
        SELECT class.relname::text
        FROM pg_catalog.pg_inherits AS inheritance
        JOIN pg_catalog.pg_class AS class ON class.oid = inheritance.inhrelid
        WHERE inheritance.inhparent = relation.oid AND NOT class.relispartition
        ORDER BY class.relname
    )
FROM relation
