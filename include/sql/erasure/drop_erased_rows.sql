-- Takes the rows of erased players out of a table of a batch, and returns their days.
DELETE FROM {table}
WHERE {condition}
RETURNING {day}
