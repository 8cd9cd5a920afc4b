-- How many of the rows that were looked over are odd, and how many are not.
SELECT count(*) FILTER (_odd), count(*) FILTER (NOT _odd) FROM {looked_over}
