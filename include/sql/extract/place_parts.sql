-- Rows of objects that were gathered in one file: each with its object, and its number there.
SELECT rows.* REPLACE (rows._row - parts._first AS _row), parts._source_key
FROM ({rows}) AS rows
ASOF JOIN (VALUES {places}) AS parts(_first, _source_key) ON rows._row > parts._first
