SELECT user_id, _day, partition, max(last_event_at) AS last_event_at, max(last_place) AS last_place
FROM ({parts})
GROUP BY ALL
