-- State of the last 90 days, with all its columns. Features that look back further need few columns, which `state` has.
SELECT *, date_diff('day', _day, getvariable('last_day'))::INTEGER AS age
FROM {source}
WHERE _day > getvariable('last_day') - INTERVAL 90 DAYS
