-- Forgets some players, whose ids are in lower case.
DELETE FROM {table}
WHERE pg_catalog.lower({key}::text) = ANY (%(user_ids)s)
