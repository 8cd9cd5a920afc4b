-- The rows of each day in a file.
SELECT _day, count(*) FROM {file} GROUP BY _day
