-- Rows of some players, whose ids are in lower case.
SELECT pg_catalog.count(*)
FROM {table}
WHERE pg_catalog.lower({key}::text) = ANY (%(user_ids)s)
