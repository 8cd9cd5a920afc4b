-- The time of the newest fact that has a day. A later time is a mistake, and Python has none after the year 9999.
SELECT max({event_time}) FILTER ({event_time} < TIMESTAMP '2100-01-01') FROM {source}
