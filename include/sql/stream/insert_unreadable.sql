INSERT INTO {table}
SELECT user_id, _day, _source_key, {event_time}
FROM fresh
WHERE _fault IS NOT NULL AND _protection IS NOT NULL AND user_id IS NOT NULL AND _day IN ({days})
