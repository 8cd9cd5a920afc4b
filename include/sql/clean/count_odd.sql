-- How many of the rows that were looked over are odd.
SELECT count(*) FROM {looked_over} WHERE _odd
