-- Columns of whose values the planner remembers some that name somebody.
SELECT tablename, attname
FROM pg_catalog.pg_stats
WHERE schemaname = %(schema)s
  AND tablename <> ALL (%(ours)s)
  AND (most_common_vals::text ~* %(pattern)s OR histogram_bounds::text ~* %(pattern)s OR most_common_elems::text ~* %(pattern)s)
