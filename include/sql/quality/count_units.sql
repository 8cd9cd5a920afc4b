-- The effective number of players in a table expression. Rows of one player resemble each other, so they say little
-- more than one row does. If a few players have most of the rows, the number is close to these few. It is 0 without
-- rows.
SELECT coalesce(sum(rows) * sum(rows) / sum(rows * rows), 0)::DOUBLE
FROM (SELECT count(*)::DOUBLE AS rows FROM {source} GROUP BY {unit})
