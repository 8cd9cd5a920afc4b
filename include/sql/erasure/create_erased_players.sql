-- Hashes of the ids of erased players.
CREATE TEMPORARY TABLE IF NOT EXISTS erased_players (hash VARCHAR NOT NULL)
