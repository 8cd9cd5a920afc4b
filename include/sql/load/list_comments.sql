SELECT relation.relname, pg_catalog.obj_description(relation.oid, 'pg_class')
FROM pg_catalog.pg_class AS relation
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE namespace.nspname = %(schema)s AND relation.relname = ANY(%(tables)s)
ORDER BY relation.relname
