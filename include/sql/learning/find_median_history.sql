-- The history of the median player: the median of each number by itself, over all players.
SELECT
    quantile_disc(repeats, 0.5) AS repeats,
    quantile_disc(observed_days - recency_days, 0.5) AS idle_days,
    quantile_disc(observed_days, 0.5) AS observed_days
FROM {histories}
