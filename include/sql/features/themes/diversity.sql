-- How varied a player's behaviour is: the mean of the entropies that are known.
SELECT
    user_id,
    real6(list_avg([game_entropy, weekday_entropy, slot_entropy, channel_entropy])) AS behavioral_diversity_score
FROM games
LEFT JOIN hours USING (user_id)
LEFT JOIN channels USING (user_id)
