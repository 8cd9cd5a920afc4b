-- How often and how much a player stakes.
WITH lifetime AS (
    SELECT user_id, sum(bets) AS bets
    FROM state
    WHERE bets > 0
    GROUP BY user_id
),
sums AS (
    SELECT
        user_id,
        sum(bets)::HUGEINT AS n,
        money_units(sum(stake_sum)) AS s,
        square_units(sum(stake_square_sum)) AS q,
        sum(bets) FILTER (age < 30) AS bets_30d,
        sum(stake_sum) FILTER (age < 30) AS stake_30d,
        list(money_units(stake_sum) ORDER BY stake_sum) AS daily
    FROM recent_state
    WHERE age < 90 AND bets > 0
    GROUP BY user_id
),
spread AS (
    SELECT
        *,
        twice_median(daily) AS median2,
        -- Four times the median distance from the median: twice_median of distances that are doubled.
        twice_median(list_sort(list_transform(daily, lambda units: abs(2 * units - median2)))) AS deviation4
    FROM sums
)
SELECT
    user_id,
    coalesce(bets_30d, 0)::INTEGER AS bets_count_30d,
    coalesce(lifetime.bets, 0)::INTEGER AS bets_count_lifetime,
    coalesce(stake_30d, 0)::DECIMAL(14, 2) AS bet_sum_30d,
    CASE WHEN bets_30d > 0 THEN money_per(money_units(stake_30d), bets_30d) END AS bet_avg_30d,
    money_per(twenty_percentiles(daily, 50), 20) AS daily_stake_p50_90d,
    money_per(twenty_percentiles(daily, 95), 20) AS daily_stake_p95_90d,
    CASE WHEN n >= 3 AND s > 0 THEN real6(sqrt((n * q - s * s) / (n * (n - 1))) / (s / n)) END AS bet_volatility,
    -- The standard deviation of a normal distribution is 1.4826 times its median distance. All is integer until the one
    -- division, so that half a millionth is rounded exactly.
    CASE
        WHEN len(daily) >= 3 AND median2 > 0 THEN real6(14826 * deviation4 / (20000 * median2))
    END AS bet_volatility_robust
FROM users
LEFT JOIN lifetime USING (user_id)
LEFT JOIN spread USING (user_id)
