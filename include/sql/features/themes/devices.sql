-- The devices that a player uses. If no bet names its device, the number of devices is unknown and not zero.
WITH by_device AS (
    SELECT user_id, device, count(*) AS bets
    FROM (SELECT user_id, unnest(devices) AS device FROM recent_state WHERE age < 90)
    GROUP BY user_id, device
),
known AS (
    SELECT user_id, first(device ORDER BY bets DESC, device) AS preferred_device, count(*) AS devices
    FROM by_device
    GROUP BY user_id
)
SELECT
    user_id,
    preferred_device,
    CASE WHEN active_days_90d = 0 THEN 0 ELSE devices END::INTEGER AS device_variety
FROM users
JOIN rhythm USING (user_id)
LEFT JOIN known USING (user_id)
