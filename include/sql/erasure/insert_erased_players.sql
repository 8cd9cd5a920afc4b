-- The hashes, from one list.
INSERT INTO erased_players
SELECT unnest(?::VARCHAR[])
