SELECT
    CASE
        WHEN churn_risk_score IS NULL THEN 'undefined'
        WHEN churn_risk_score < 0.4 THEN 'low'
        WHEN churn_risk_score < 0.6 THEN 'medium'
        WHEN churn_risk_score < 0.85 THEN 'high'
        ELSE 'critical'
    END AS band,
    count(*) AS players
FROM {features}
GROUP BY band
