-- The newest fact.
SELECT {newest} FROM {source}
