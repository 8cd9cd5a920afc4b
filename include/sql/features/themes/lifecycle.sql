-- The stage of a player's life.
SELECT
    user_id,
    last_activity_age AS days_since_last_activity,
    CASE
        WHEN idle >= 30 THEN 'churned'
        WHEN churn_risk_score < 0.4 THEN 'low'
        WHEN churn_risk_score < 0.6 THEN 'medium'
        WHEN churn_risk_score < 0.85 THEN 'high'
        WHEN churn_risk_score IS NOT NULL THEN 'critical'
    END AS churn_risk_band,
    CASE
        WHEN idle IS NULL THEN 'registered'
        WHEN idle >= 30 THEN 'churned'
        WHEN first_event_age < 30 THEN 'new'
        WHEN came_back THEN 'reactivated'
        WHEN idle >= 14 THEN 'at_risk'
        ELSE 'active'
    END AS lifecycle_stage
FROM users
LEFT JOIN life USING (user_id)
LEFT JOIN models USING (user_id)
