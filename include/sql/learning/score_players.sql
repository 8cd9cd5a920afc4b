-- The model columns of all players who were ever active: each player gets the scores of his or her history. The
-- expected deposit of a day is p (v + sum) / (p x + q - 1) by the Gamma-Gamma model. It is undefined if the divisor is
-- not above 0.
WITH deposits AS (
    SELECT
        user_id,
        p_alive,
        expected_deposit_days_30d,
        discounted_days,
        CASE
            WHEN getvariable('spending_p') * repeats + getvariable('spending_q') > 1
                THEN getvariable('spending_p') * (getvariable('spending_v') + repeat_sum::DOUBLE)
                    / (getvariable('spending_p') * repeats + getvariable('spending_q') - 1)
        END AS deposit_value
    FROM deposit_histories
    LEFT JOIN deposit_scores USING (repeats, recency_days, observed_days)
),
money AS (
    -- Nobody has more money than fits into numeric(14, 2), so a larger sum becomes NULL.
    SELECT
        user_id,
        p_alive,
        expected_deposit_days_30d,
        try_cast(deposit_value AS DECIMAL(14, 2)) AS expected_deposit_value,
        try_cast(getvariable('clv_margin') * deposit_value * discounted_days AS DECIMAL(14, 2)) AS clv_12m
    FROM deposits
),
-- The rank of a value is that of each player who has it. There are fewer values than players to sort.
clv_values AS (
    SELECT clv_12m, count(*) AS players FROM money WHERE clv_12m IS NOT NULL GROUP BY clv_12m
),
clv_shares AS (
    SELECT
        clv_12m,
        (sum(players) OVER (ORDER BY clv_12m) - players) / nullif(sum(players) OVER () - 1, 0) AS share_below
    FROM clv_values
),
ranked AS (
    SELECT
        money.*,
        -- A lone player has rank 0.
        CASE WHEN clv_12m IS NOT NULL THEN round(coalesce(share_below, 0), 6) END AS customer_lifetime_value_score
    FROM money
    LEFT JOIN clv_shares USING (clv_12m)
)
SELECT
    user_id,
    p_alive,
    expected_deposit_days_30d,
    expected_deposit_value,
    clv_12m,
    customer_lifetime_value_score,
    churn_prob_30d,
    churn_risk_score
FROM activity_histories
LEFT JOIN activity_scores USING (repeats, recency_days, observed_days)
LEFT JOIN ranked USING (user_id)
