-- Says that the messages up to an offset are one batch, before anything of them is written. Nothing happens if anybody
-- else has claimed or committed something of the partition.
UPDATE {table}
SET claimed_offset = %(until)s
WHERE topic = %(topic)s
    AND partition = %(partition)s
    AND next_offset = %(first)s
    AND claimed_offset IN (%(first)s, %(until)s)
