-- The last day with a fact of some players, as far as the table knows.
SELECT {key}, (as_of - days_since_last_activity * interval '1 day')::date
FROM {table}
WHERE pg_catalog.lower({key}) = ANY (%(user_ids)s)
