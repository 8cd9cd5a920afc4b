-- What instant the table is about: that of its newest row.
SELECT max(as_of) FROM {table}
