-- The time of the newest fact.
SELECT {newest} FROM {source}
