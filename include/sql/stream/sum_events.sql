-- When the last event of a player and day was, and the last message of each partition: its place without the slash and the
-- twenty digits of an offset names the partition.
SELECT user_id, _day, left(_source_key, -21) AS partition, max(instant) AS last_event_at, max(_source_key) AS last_place
FROM (
    SELECT user_id, _day, placed_at AS instant, _source_key FROM bets
    UNION ALL
    SELECT user_id, _day, created_at, _source_key FROM transactions
    UNION ALL
    SELECT user_id, _day, changed_at, _source_key FROM limits
    UNION ALL
    SELECT user_id, _day, instant, _source_key FROM unreadable
)
GROUP BY ALL
