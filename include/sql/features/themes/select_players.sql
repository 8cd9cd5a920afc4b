-- The rows of the players who belong to a part of all.
FROM {source}
WHERE hash(user_id) % {parts} = {number}
