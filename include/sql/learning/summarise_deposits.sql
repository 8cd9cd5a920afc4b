-- What the models of deposits know of a player: x, tx and T as in summarise_activity, but counted over days with a
-- completed deposit, and the sum of deposits on the days after the first.
SELECT
    user_id,
    (count(*) - 1)::INTEGER AS repeats,
    max(age) - min(age) AS recency_days,
    max(age) AS observed_days,
    (sum(deposit_sum) - arg_max(deposit_sum, age))::DECIMAL(18, 2) AS repeat_sum
FROM state
WHERE deposits > 0
GROUP BY user_id
