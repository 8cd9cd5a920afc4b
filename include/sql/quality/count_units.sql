-- Players in a table expression: rows of one player are alike, so they tell what they tell once.
SELECT count(DISTINCT {unit}) FROM {source}
