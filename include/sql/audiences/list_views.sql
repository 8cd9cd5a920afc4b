-- The views of audiences, by name, and what their comments say.
SELECT relation.relname, obj_description(relation.oid, 'pg_class')
FROM pg_catalog.pg_class AS relation
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE namespace.nspname = %(schema)s
  AND relation.relkind = 'v'
  AND pg_catalog.starts_with(obj_description(relation.oid, 'pg_class'), %(comment)s)
