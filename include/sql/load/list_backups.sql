SELECT relation.relname, obj_description(relation.oid, 'pg_class')
FROM pg_class AS relation
JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE namespace.nspname = %(schema)s AND relation.relkind = 'r' AND relation.relname ~ %(pattern)s
