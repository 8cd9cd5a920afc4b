-- When a player was active. An event is a day with a bet or a completed deposit, as in the churn model; ages are in days.
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
    last_activity_age,
    idle,
    first_event_age,
    came_back
FROM activity
LEFT JOIN events USING (user_id)
