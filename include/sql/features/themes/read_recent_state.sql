-- State of the last 90 days, with all its columns: what looks back further asks for little, and finds it in `state`.
SELECT *, date_diff('day', _day, getvariable('last_day'))::INTEGER AS age
FROM {source}
WHERE _day > getvariable('last_day') - INTERVAL 90 DAYS
