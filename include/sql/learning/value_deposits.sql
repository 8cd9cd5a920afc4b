-- What the models of deposits say of every player who ever deposited: each player gets the scores of his or her history.
-- The expected deposit of a day is p (v + sum) / (p x + q - 1) by the Gamma-Gamma model. It is undefined if the divisor is
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
)
-- Nobody has more money than fits into numeric(14, 2), so a larger sum becomes NULL.
SELECT
    user_id,
    p_alive,
    expected_deposit_days_30d,
    try_cast(deposit_value AS DECIMAL(14, 2)) AS expected_deposit_value,
    try_cast(getvariable('clv_margin') * deposit_value * discounted_days AS DECIMAL(14, 2)) AS clv_12m
FROM deposits
