-- A partition that was never read.
INSERT INTO {table} (topic, partition, next_offset, claimed_offset, committed_at)
VALUES (%(topic)s, %(partition)s, %(first)s, %(first)s, pg_catalog.now())
ON CONFLICT (topic, partition) DO NOTHING
