-- The model columns of everyone who ever was active: scores of histories back to the players who have them. What a
-- player deposits on a day is Gamma-Gamma's p (v + sum) / (p x + q - 1), undefined where the divisor is not above 0.
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
    -- Money beyond numeric(14, 2) is none that anybody has: NULL.
    SELECT
        user_id,
        p_alive,
        expected_deposit_days_30d,
        try_cast(deposit_value AS DECIMAL(14, 2)) AS expected_deposit_value,
        try_cast(getvariable('clv_margin') * deposit_value * discounted_days AS DECIMAL(14, 2)) AS clv_12m
    FROM deposits
),
ranks AS (
    SELECT user_id, round(percent_rank() OVER (ORDER BY clv_12m), 6) AS customer_lifetime_value_score
    FROM money
    WHERE clv_12m IS NOT NULL
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
LEFT JOIN money USING (user_id)
LEFT JOIN ranks USING (user_id)
