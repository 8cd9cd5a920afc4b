-- A player who is to be erased. Nothing happens if the player is there.
INSERT INTO {table} (player_hash, key_name)
VALUES (%(player_hash)s, %(key_name)s)
ON CONFLICT (player_hash) DO NOTHING
