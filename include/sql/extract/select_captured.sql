-- The wanted chunks of a captured file that may also hold others. A condition with constants, unlike a join, lets the
-- engine skip the other parts of the file.
SELECT *
FROM {file}
WHERE {wanted}
