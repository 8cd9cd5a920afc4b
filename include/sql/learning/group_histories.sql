-- Equal histories together: models are fitted and asked once for each.
SELECT repeats, recency_days, observed_days, count(*) AS players
FROM {histories}
GROUP BY ALL
ORDER BY ALL
