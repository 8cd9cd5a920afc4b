INSERT INTO {table} (source, topic, partition, "offset", reason, committed_at)
VALUES %s
ON CONFLICT (topic, partition, "offset") DO NOTHING
