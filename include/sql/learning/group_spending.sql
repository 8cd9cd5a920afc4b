-- Groups players with equal deposits on the days after their first deposit day.
SELECT repeats, repeat_sum::DOUBLE AS total, count(*) AS players
FROM deposit_histories
WHERE repeats > 0
GROUP BY ALL
ORDER BY ALL
