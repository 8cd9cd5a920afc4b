-- How many rows a query has.
SELECT count(*) FROM ({rows})
