-- The number of records of a Parquet file, from its footer.
SELECT num_rows FROM parquet_file_metadata({url})
