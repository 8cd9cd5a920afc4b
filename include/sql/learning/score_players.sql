-- The model columns of all players who were ever active: each player gets the scores of his or her histories.
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
LEFT JOIN deposit_values USING (user_id)
LEFT JOIN clv_ranks USING (clv_12m)
