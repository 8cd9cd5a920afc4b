SELECT relation.relname, pg_catalog.obj_description(relation.oid, 'pg_class'::name)
FROM pg_catalog.pg_class AS relation
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE namespace.nspname = %(schema)s AND relation.relkind = 'r' AND relation.relname ~ %(pattern)s
