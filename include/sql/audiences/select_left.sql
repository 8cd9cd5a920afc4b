-- Players who were in what was handed over before and are not in the audience now. Nothing else is said of them.
SELECT user_id FROM {before} WHERE user_id NOT IN (SELECT user_id FROM read_parquet({now})) ORDER BY user_id
