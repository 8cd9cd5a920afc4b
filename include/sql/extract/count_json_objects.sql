-- How many JSON records are objects.
SELECT count(record) FROM ({records})
