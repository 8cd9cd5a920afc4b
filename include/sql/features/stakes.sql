-- How much a player stakes.
WITH sums AS (
    SELECT
        user_id,
        sum(bets)::HUGEINT AS n,
        money_units(sum(stake_sum)) AS s,
        square_units(sum(stake_square_sum)) AS q
    FROM state
    WHERE age < 90 AND bets > 0
    GROUP BY user_id
)
SELECT
    user_id,
    CASE WHEN n >= 3 AND s > 0 THEN real6(sqrt((n * q - s * s) / (n * (n - 1))) / (s / n)) END AS bet_volatility
FROM sums
