-- HMAC-SHA-256 of each id that was not met before: the hash of a padded key and of the hash of the other and the message.
INSERT INTO looked_up_ids
SELECT id, sha256({outer} || unhex(sha256({inner} || encode(fold_id(parse_text(id)))))) IN (FROM erased_players)
FROM (
    SELECT DISTINCT {id} AS id
    FROM {rows}
)
WHERE parse_text(id) IS NOT NULL AND id NOT IN (SELECT id FROM looked_up_ids)
