-- The rows of staging and of the table, and from when to when they are.
SELECT staged.rows, staged.oldest, staged.newest, held.rows, held.newest
FROM (SELECT count(*) AS rows, min(as_of) AS oldest, max(as_of) AS newest FROM {staging}) AS staged
CROSS JOIN (SELECT count(*) AS rows, max(as_of) AS newest FROM {table}) AS held
