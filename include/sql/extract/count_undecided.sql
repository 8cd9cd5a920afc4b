-- How many records of a captured file are set aside for a reason that a slower reading may do away with.
SELECT count(*) FROM read_parquet({file}, hive_partitioning = false) WHERE _reject = ?
