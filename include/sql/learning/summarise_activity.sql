-- What the churn model knows of a player: x is the number of active days after the first, tx the days from the first to
-- the last active day, and T the days from the first active day to the last day before as_of. A day with a bet or a
-- completed deposit is active. The same numbers follow as of thirty days ago, if the player was known by then, and
-- whether the player has been silent since.
SELECT
    user_id,
    (count(*) - 1)::INTEGER AS repeats,
    max(age) - min(age) AS recency_days,
    max(age) AS observed_days,
    (count(*) FILTER (age >= 30) - 1)::INTEGER AS held_repeats,
    max(age) - min(age) FILTER (age >= 30) AS held_recency_days,
    max(age) - 30 AS held_observed_days,
    min(age) >= 30 AS is_silent
FROM state
WHERE bets > 0 OR deposits > 0
GROUP BY user_id
