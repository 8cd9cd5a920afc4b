-- What was handed over last of an audience.
SELECT publication, definition, as_of, purpose, members, entered, leavers, excluded, files, baseline
FROM {table}
WHERE audience = %(audience)s
ORDER BY place DESC
LIMIT 1
