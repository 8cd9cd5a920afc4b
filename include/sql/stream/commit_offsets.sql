-- Says that a claimed batch is in the live rows. Nothing happens if anybody else has said so.
UPDATE {table}
SET next_offset = claimed_offset, committed_at = pg_catalog.now()
WHERE topic = %(topic)s AND partition = %(partition)s AND next_offset = %(first)s AND claimed_offset = %(until)s
