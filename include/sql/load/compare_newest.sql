-- Whether staged rows are of the newest as_of that the table has.
SELECT (SELECT max(as_of) FROM {staging}) >= (SELECT max(as_of) FROM {table})
