-- Not CREATE TABLE ... PARTITION OF: that would make readers of the history wait until the load commits.
ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({first}) TO ({after})
