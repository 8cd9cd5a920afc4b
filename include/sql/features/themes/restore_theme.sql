-- A theme as it was computed, from rows that `keep_themes` has made. A player without a row in it has none again.
SELECT unnest({theme})
FROM {kept}
WHERE struct_extract({theme}, 'user_id') IS NOT NULL
