-- Each marker of the median player: the median of each by itself, over all players.
SELECT marker, quantile_disc(value, 0.5) AS usual
FROM protection_values
GROUP BY marker
ORDER BY marker
