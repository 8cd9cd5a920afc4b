-- The days whose live rows a batch may change: a bet changes the session of its day, which may touch one day more. Sessions
-- end at 06:00, as derive_sessions says.
SELECT DISTINCT unnest([_day, block, block + 1])::DATE
FROM (SELECT _day, (operator_time({event_time}) - INTERVAL 6 HOURS)::DATE AS block FROM candidates)
UNION
SELECT _day FROM fresh WHERE _fault IS NOT NULL AND _protection IS NOT NULL
