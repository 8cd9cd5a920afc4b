-- How many players there are, and for how many days the oldest has been one.
SELECT count(*), coalesce(max(tenure_days), 0)
FROM {source}
