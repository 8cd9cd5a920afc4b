-- Runs in the data engine: rows, distinct keys, and NULLs of each required column.
SELECT count(*), count(DISTINCT {key}), {null_counts} FROM {source}
