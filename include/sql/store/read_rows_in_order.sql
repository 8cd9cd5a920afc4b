-- All columns of a table expression, day by day, so that reading some days skips the rest.
SELECT * FROM {source} ORDER BY _day, user_id
