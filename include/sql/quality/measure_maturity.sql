-- The number of players, and the longest time, in days, for which anybody has been a player.
SELECT count(*), coalesce(max(tenure_days), 0)
FROM {source}
