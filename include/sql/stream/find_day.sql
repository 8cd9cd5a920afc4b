-- Returns a row if there are live rows of a day.
SELECT FROM {table} WHERE day = %(day)s LIMIT 1
