-- A captured file in the order of its days, so that reading some days skips the rest.
COPY (FROM read_parquet({file}, hive_partitioning = false) ORDER BY _day, _row) TO {url} (FORMAT parquet, COMPRESSION zstd)
