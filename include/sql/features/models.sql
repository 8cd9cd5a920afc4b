SELECT user_id, NULL::DOUBLE AS p_alive, NULL::DOUBLE AS expected_deposit_days_30d, NULL::DECIMAL(14,2) AS expected_deposit_value, NULL::DECIMAL(14,2) AS clv_12m,
 customer_lifetime_value_score, NULL::DOUBLE AS churn_prob_30d, churn_risk_score
FROM users LEFT JOIN value USING (user_id) LEFT JOIN churn USING (user_id)
