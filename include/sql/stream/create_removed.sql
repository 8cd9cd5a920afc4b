-- Held rows that a row of the batch stands for now.
CREATE OR REPLACE TEMPORARY TABLE removed AS
SELECT *
FROM typed
WHERE _held IS NOT NULL AND _id IN (SELECT id FROM duplicates WHERE place > 1)
