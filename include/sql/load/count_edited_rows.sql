-- Rows of the table that say that they are equal to what is staged, and have other cells; and how many of these belong to
-- players who are gone.
SELECT count(*), count(*) FILTER (WHERE target.gone OR target.marketing_reason IS NOT NULL)
FROM {staging} AS staged
JOIN {table} AS target ON target.{key} = staged.{key}
WHERE staged.as_of = target.as_of
  AND staged.row_hash = target.row_hash
  AND {cells_differ}
