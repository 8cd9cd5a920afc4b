-- Days before yesterday go once the daily table knows more than them.
DELETE FROM {live}
WHERE day < %(yesterday)s
    AND day < (
        SELECT pg_catalog.max(pg_catalog.timezone(%(zone)s::text, as_of))::date
        FROM {features}
    )
