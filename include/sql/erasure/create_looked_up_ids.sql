-- Ids that were met, as they are spelled, and whether they are of an erased player.
CREATE TEMPORARY TABLE IF NOT EXISTS looked_up_ids (id VARCHAR NOT NULL, is_erased BOOLEAN NOT NULL)
