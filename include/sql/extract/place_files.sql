-- Rows of objects that were read together, each with its object.
SELECT rows.* EXCLUDE (_file), parts._source_key
FROM ({rows}) AS rows
JOIN (VALUES {places}) AS parts(_file, _source_key) USING (_file)
