-- All columns of a table expression.
SELECT * FROM {source}
