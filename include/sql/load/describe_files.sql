-- For the data engine.
DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)
