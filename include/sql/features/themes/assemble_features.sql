-- The run's feature table for the players in a range of ids: one row per player, with all themes, the hash and the run.
SELECT
    {columns},
    timezone('UTC', getvariable('as_of')) AS as_of,
    timezone('UTC', getvariable('known_at')) AS known_at,
    getvariable('feature_set_version') AS feature_set_version,
    getvariable('execution_id') AS execution_id,
    md5(to_json(struct_pack({hashed}))::VARCHAR) AS row_hash
FROM users
JOIN games USING (user_id)
JOIN stakes USING (user_id)
JOIN results USING (user_id)
LEFT JOIN hours USING (user_id)
JOIN rhythm USING (user_id)
JOIN devices USING (user_id)
JOIN visits USING (user_id)
JOIN money USING (user_id)
JOIN rfm USING (user_id)
LEFT JOIN models USING (user_id)
JOIN lifecycle USING (user_id)
JOIN channels USING (user_id)
JOIN diversity USING (user_id)
JOIN protection_play USING (user_id)
LEFT JOIN protection_sessions USING (user_id)
JOIN protection_limits USING (user_id)
JOIN markers USING (user_id)
JOIN consent USING (user_id)
WHERE {within}
ORDER BY user_id
