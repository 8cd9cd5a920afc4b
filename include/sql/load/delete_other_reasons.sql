-- Removes the reasons of players who have none any more.
DELETE FROM {table} AS target
WHERE NOT EXISTS (SELECT FROM {staging} AS staged WHERE staged.user_id = target.user_id)
