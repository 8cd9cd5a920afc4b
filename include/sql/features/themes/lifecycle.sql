-- The stage of a player's life. An event is a day with a bet or a completed deposit, as in the churn model.
WITH events AS (
    SELECT
        user_id,
        min(age) AS idle,
        max(age) AS first_event_age,
        -- The last 30 days have no room for a gap of 31 days, so such a gap can only end at the first event in them.
        min(age) FILTER (age >= 30) - max(age) FILTER (age < 30) >= 31 AS came_back
    FROM state
    WHERE bets > 0 OR deposits > 0
    GROUP BY user_id
),
activity AS (
    SELECT user_id, min(age) AS last_activity_age
    FROM state
    WHERE bets > 0 OR deposits > 0 OR withdrawals > 0 OR bet_transactions > 0
    GROUP BY user_id
)
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
LEFT JOIN events USING (user_id)
LEFT JOIN activity USING (user_id)
LEFT JOIN models USING (user_id)
