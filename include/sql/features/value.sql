-- Rank by what a player is worth: completed deposits a year at the player's own rate, observed over 30 days at least.
WITH rates AS (
    SELECT user_id, real6(sum(deposit_sum) * 365 / greatest(30, max(age) + 1)) AS deposits_a_year
    FROM state
    WHERE deposits > 0
    GROUP BY user_id
)
SELECT user_id, real6(percent_rank() OVER (ORDER BY deposits_a_year)) AS customer_lifetime_value_score
FROM rates
