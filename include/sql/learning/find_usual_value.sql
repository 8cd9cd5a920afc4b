-- The expected deposit of the median player.
SELECT quantile_disc(expected_deposit_value, 0.5) AS deposit_value
FROM deposit_values
