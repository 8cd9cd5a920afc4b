SELECT relation.relname
FROM pg_class AS relation
JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE namespace.nspname = %(schema)s
  AND relation.relkind = 'r'
  AND relation.relpersistence = 'u'
  AND relation.relname ~ %(pattern)s
  AND starts_with(obj_description(relation.oid, 'pg_class'), %(comment)s)
ORDER BY relation.relname
