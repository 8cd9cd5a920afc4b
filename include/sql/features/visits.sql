-- How often and how long a player stays. A session that had not ended by as_of counts, but has no length yet.
WITH recent AS (
    SELECT
        user_id,
        CASE WHEN ended_at < getvariable('as_of') THEN epoch_us(ended_at) - epoch_us(started_at) END AS microseconds
    FROM sessions
    WHERE age < 30
)
SELECT
    user_id,
    count(*)::INTEGER AS sessions_30d,
    real6(sum(microseconds) / count(microseconds) / 60e6) AS session_minutes_avg_30d,
    real6(max(microseconds) / 60e6) AS session_minutes_max_30d
FROM recent
GROUP BY user_id
