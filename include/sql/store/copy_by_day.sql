-- Rows into the folders of their day, each day's folder named by what it was made from; returns what was written.
COPY (
    SELECT rows.*, strftime(rows._day, '%Y-%m-%d') AS day, digests.digest AS set
    FROM ({rows}) AS rows
    JOIN (VALUES {digests}) AS digests(day, digest) ON digests.day = rows._day
) TO {folder} (FORMAT parquet, PARTITION_BY (day, set), OVERWRITE_OR_IGNORE, FILENAME_PATTERN {names}, RETURN_STATS)
