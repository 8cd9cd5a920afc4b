SELECT coalesce(churn_risk_band, 'undefined') AS band, count(*) AS players
FROM {features}
GROUP BY band
