-- The schema of a Parquet file as a tree: each node before its children, the root first.
SELECT name, num_children, precision FROM parquet_schema({url})
