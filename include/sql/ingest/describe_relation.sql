-- Run in PostgreSQL: the columns of a table or view, none if it does not exist.
SELECT attname::text, format_type(atttypid, atttypmod)
FROM pg_attribute
WHERE attrelid = to_regclass({relation}) AND attnum > 0 AND NOT attisdropped
