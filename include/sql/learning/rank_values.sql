-- The share of players with less, for each clv_12m that a player has. There are fewer values than players to sort.
WITH clv_values AS (
    SELECT clv_12m, count(*) AS players FROM deposit_values WHERE clv_12m IS NOT NULL GROUP BY clv_12m
)
SELECT
    clv_12m,
    -- A lone player has rank 0.
    round(
        coalesce((sum(players) OVER (ORDER BY clv_12m) - players) / nullif(sum(players) OVER () - 1, 0), 0), 6
    ) AS customer_lifetime_value_score
FROM clv_values
