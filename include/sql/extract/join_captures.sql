-- The rows of many captures as one file, in the order of their days, so that reading some days skips the rest.
COPY (FROM {rows} ORDER BY _day, _source_key, _row) TO {url} (
    FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 1000
)
