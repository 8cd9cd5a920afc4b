-- The numbers of records and of row groups of a Parquet file, from its footer.
SELECT num_rows, num_row_groups FROM parquet_file_metadata({url})
