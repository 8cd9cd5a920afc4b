-- A captured file in the order of its days, so that reading some days skips the rest.
COPY (FROM read_parquet({file}, hive_partitioning = false) ORDER BY _day, _row) TO {url} (
    FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 1000
)
