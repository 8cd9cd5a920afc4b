SELECT topic, partition, next_offset, claimed_offset
FROM {table}
ORDER BY topic, partition
