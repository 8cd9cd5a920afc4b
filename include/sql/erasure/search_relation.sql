-- How many rows a relation has, and how many of them name somebody, by column.
SELECT pg_catalog.count(*){counts}
FROM {table}
