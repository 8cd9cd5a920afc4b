-- What may protect the players of a source's rows and cannot be read, with its looks.
SELECT {source} AS source, user_id, array_to_string(_protection, ', ') AS unreadable, _source_key, _row
FROM {rows}
