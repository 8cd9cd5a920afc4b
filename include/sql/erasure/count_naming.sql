-- How many values of a column name somebody.
pg_catalog.count(*) FILTER (
    WHERE {text} ~* %(pattern)s OR pg_catalog.lower(pg_catalog.btrim({text})) = ANY ({ids})
)
