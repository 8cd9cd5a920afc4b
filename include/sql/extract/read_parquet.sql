-- A Parquet file, or several with one schema, every value as text or as a type that loses nothing.
SELECT
    {file}
    file_row_number + 1 AS _row,
    CASE
        WHEN {has_nul} THEN 'malformed record: bytes that are no text'
        {faults}
        ELSE {set_aside}
    END AS _reject,
    {values}
FROM read_parquet({url}, file_row_number = true, hive_partitioning = false)
