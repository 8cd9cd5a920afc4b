-- Groups equal histories as of thirty days ago, with the number of players in each who have been silent since.
SELECT
    held_repeats AS repeats,
    held_recency_days AS recency_days,
    held_observed_days AS observed_days,
    count(*) AS players,
    count(*) FILTER (is_silent) AS silent
FROM activity_histories
WHERE held_observed_days >= 0
GROUP BY ALL
ORDER BY ALL
