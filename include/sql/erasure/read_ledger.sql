-- The hashes of erased players, each with the name of its key.
SELECT player_hash, key_name FROM {table}
