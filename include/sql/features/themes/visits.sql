-- How often and how long a player stays. A session that had not ended by as_of counts, but has no length yet.
WITH lengths AS (
    SELECT user_id, epoch_us(ended_at) - epoch_us(started_at) AS microseconds
    FROM sessions
),
sums AS (
    SELECT
        user_id,
        count(*) AS sessions,
        count(microseconds) AS ended,
        sum(microseconds) AS total,
        max(microseconds) AS longest
    FROM lengths
    GROUP BY user_id
)
SELECT
    user_id,
    coalesce(sessions, 0)::INTEGER AS sessions_30d,
    CASE WHEN ended > 0 THEN real6(total / ended / 60e6) END AS session_minutes_avg_30d,
    real6(longest / 60e6) AS session_minutes_max_30d
FROM users
LEFT JOIN sums USING (user_id)
