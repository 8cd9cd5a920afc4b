-- The parts of players of whom a held row has gone: they are made again from all of their rows.
DELETE FROM {table}
WHERE user_id IN (SELECT user_id FROM corrected)
