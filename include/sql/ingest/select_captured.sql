-- Rows of captured files that hold several chunks each: of every file the wanted ones.
SELECT rows.* EXCLUDE (filename, _part)
FROM read_parquet({files}, filename = true, hive_partitioning = false) AS rows
JOIN (VALUES {parts}) AS parts(filename, part)
    ON parts.filename = rows.filename AND parts.part IS NOT DISTINCT FROM rows._part
