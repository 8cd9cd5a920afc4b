-- State or sessions with their age in operator days: 0 on the last day before as_of.
SELECT *, date_diff('day', _day, getvariable('last_day'))::INTEGER AS age FROM {source}
