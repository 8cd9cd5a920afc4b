-- The players of a source's rows, and whether the players' snapshot knows them.
SELECT {source} AS source, user_id, user_id IN (SELECT user_id FROM raw_players WHERE user_id IS NOT NULL) AS is_known
FROM (SELECT DISTINCT user_id FROM {rows} WHERE trim(user_id) <> '')
