-- The first player of each slice of `size` players, in order.
SELECT user_id
FROM (SELECT user_id, row_number() OVER (ORDER BY user_id) AS place FROM users)
WHERE (place - 1) % {size} = 0
ORDER BY user_id
