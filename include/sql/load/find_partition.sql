-- The partition of a month, by its name or by its bounds, whatever its name is: the relation that has the name, and
-- whether a partition of the table has the name or the bounds.
SELECT
    pg_catalog.to_regclass(%(partition_address)s::text) IS NOT NULL AS is_named,
    EXISTS (
        SELECT
        FROM pg_catalog.pg_inherits AS inheritance
        JOIN pg_catalog.pg_class AS relation ON relation.oid = inheritance.inhrelid
        WHERE inheritance.inhparent = %(table)s::regclass
          AND NOT inheritance.inhdetachpending
          AND (
              relation.relname = %(partition)s
              OR pg_catalog.pg_get_expr(relation.relpartbound, relation.oid) = %(bounds)s
          )
    ) AS is_attached
