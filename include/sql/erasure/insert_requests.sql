-- Adds a request for each id, in their order.
INSERT INTO {table} (user_id, entered_by)
SELECT given.user_id, %(entered_by)s
FROM pg_catalog.unnest(%(user_ids)s::text[]) WITH ORDINALITY AS given (user_id, place)
ORDER BY given.place
RETURNING request_id
