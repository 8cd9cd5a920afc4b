-- The rows of a file that an earlier run has written, in order.
SELECT * FROM {source} ORDER BY user_id
