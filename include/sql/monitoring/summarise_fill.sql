-- How many players have a value, by column.
SELECT {counts}
FROM {features}
