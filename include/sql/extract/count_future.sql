-- Runs in PostgreSQL: rows that are dated after the day on which a run looks. None of them is captured.
SELECT count(*)
FROM {relation}
WHERE {within}
