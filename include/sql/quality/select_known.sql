-- The players of a source that lists them.
SELECT user_id
FROM {rows}
WHERE _fault IS NULL
