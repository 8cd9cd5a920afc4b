-- State of the last 180 days, with all its columns: no other feature looks back further.
SELECT *, date_diff('day', _day, getvariable('last_day'))::INTEGER AS age
FROM {source}
WHERE _day > getvariable('last_day') - INTERVAL 180 DAYS
