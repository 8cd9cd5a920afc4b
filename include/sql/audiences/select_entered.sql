-- Players who are in the audience now and were not in what was handed over before.
SELECT * FROM read_parquet({now}) WHERE user_id NOT IN (SELECT user_id FROM {before}) ORDER BY user_id
