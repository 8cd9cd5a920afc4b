-- The bytes of all long texts in some columns. A text that is repeated counts each time.
SELECT ({bytes})::BIGINT FROM read_parquet([{files}], hive_partitioning = false)
