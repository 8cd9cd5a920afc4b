-- What players deposited on the days after their first, equal ones together.
SELECT repeats, repeat_sum::DOUBLE AS total, count(*) AS players
FROM deposit_histories
WHERE repeats > 0
GROUP BY ALL
ORDER BY ALL
