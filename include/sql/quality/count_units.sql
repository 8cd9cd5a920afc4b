-- Players in a table expression, weighted: rows of one player are alike, so they tell little more than one of them does,
-- and a few who have most of the rows tell little more than those few. 0 without rows.
SELECT coalesce(sum(rows) * sum(rows) / sum(rows * rows), 0)::DOUBLE
FROM (SELECT count(*)::DOUBLE AS rows FROM {source} GROUP BY {unit})
