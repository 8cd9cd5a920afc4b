-- Risk that a player does not come back, from days without a bet or a completed deposit: it halves what is left of 1
-- every 30 days.
SELECT user_id, real6(1 - pow(2, -min(age) / 30)) AS churn_risk_score
FROM state
WHERE bets > 0 OR deposits > 0
GROUP BY user_id
