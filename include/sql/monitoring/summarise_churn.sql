SELECT
    CASE
        WHEN churn_risk_score IS NULL THEN 'undefined'
        WHEN churn_risk_score < 0.3 THEN 'low'
        WHEN churn_risk_score < 0.6 THEN 'medium'
        ELSE 'high'
    END AS band,
    count(*) AS players
FROM {features}
GROUP BY band
