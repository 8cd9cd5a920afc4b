-- The as_of that the table is of.
SELECT max(as_of) FROM {table}
