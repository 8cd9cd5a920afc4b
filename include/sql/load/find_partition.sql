SELECT relation.oid
FROM pg_inherits AS inheritance
JOIN pg_class AS relation ON relation.oid = inheritance.inhrelid
WHERE inheritance.inhparent = %(table)s::regclass AND relation.relname = %(partition)s
