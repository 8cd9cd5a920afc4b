-- The 95th percentile of each marker among players with a bet in the last 30 days; no row if there are too few.
SELECT marker, quantile_cont(value, 0.95) AS cut_off
FROM protection_values
JOIN rhythm USING (user_id)
WHERE active_days_30d > 0 AND value IS NOT NULL
GROUP BY marker
HAVING count(*) >= getvariable('rg_min_cohort')
ORDER BY marker
