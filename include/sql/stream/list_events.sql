-- Every event of some players: when it happened, and its place in Kafka.
SELECT user_id, _day, placed_at AS instant, _source_key FROM bets
UNION ALL
SELECT user_id, _day, created_at, _source_key FROM transactions
UNION ALL
SELECT user_id, _day, changed_at, _source_key FROM limits
UNION ALL
SELECT user_id, _day, instant, _source_key FROM live_unreadable
