-- Names and types of the columns of a table expression.
DESCRIBE SELECT * FROM {source}
