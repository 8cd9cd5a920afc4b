-- The live rows that a batch may change: a bet or a deposit changes the session of its time, which may be of two days. Sessions
-- end at 06:00, as join_plays says.
INSERT INTO touched
SELECT DISTINCT user_id, unnest([_day, block, block + 1])::DATE
FROM (
    SELECT user_id, _day, (operator_time({event_time}) - INTERVAL 6 HOURS)::DATE AS block
    FROM (
        SELECT user_id, _day, {event_time} FROM {added}
        UNION ALL
        SELECT user_id, _day, {event_time} FROM removed
    )
)
