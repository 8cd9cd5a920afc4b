SELECT relation.relname
FROM pg_catalog.pg_class AS relation
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE namespace.nspname = %(schema)s
  AND relation.relkind = 'r'
  AND relation.relpersistence = 'u'
  AND relation.relname ~ %(pattern)s
  AND pg_catalog.starts_with(pg_catalog.obj_description(relation.oid, 'pg_class'::name), %(comment)s::text)
ORDER BY relation.relname
