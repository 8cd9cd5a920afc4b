-- Groups equal histories, so that models are fitted and evaluated once for each group.
SELECT repeats, recency_days, observed_days, count(*) AS players
FROM {histories}
GROUP BY ALL
ORDER BY ALL
