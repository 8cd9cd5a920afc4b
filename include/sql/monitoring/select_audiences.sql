-- The audiences that have a view, as each was handed over last. The comment of a view is the purpose, the description and a
-- digest, as audiences/views.py writes it.
SELECT DISTINCT ON (handed.audience)
    handed.audience, handed.purpose, handed.as_of, handed.published_at, handed.members, handed.entered, handed.leavers,
    handed.excluded, handed.files, relation.relname AS view,
    substring(obj_description(relation.oid, 'pg_class') FROM '^[^:]*: (.*) \([^)]*\)$') AS description
FROM {schema}.audience_runs AS handed
JOIN pg_catalog.pg_namespace AS namespace ON namespace.nspname = %(schema)s
JOIN pg_catalog.pg_class AS relation
    ON relation.relnamespace = namespace.oid
    AND relation.relname = 'audience_' || handed.audience
    AND relation.relkind = 'v'
ORDER BY handed.audience, handed.place DESC
