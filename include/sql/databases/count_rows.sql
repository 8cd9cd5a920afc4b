-- The number of rows of a query.
SELECT count(*) FROM ({rows})
