-- A batch's good rows of the held days and the held rows that they meet, as the statements of cleaning that drop duplicates
-- read them.
CREATE OR REPLACE TEMPORARY VIEW typed AS
SELECT *, NULL::BIGINT AS _held, 2 * rowid AS _id
FROM fresh
WHERE _fault IS NULL AND _day IN ({days})
UNION ALL BY NAME
SELECT *, NULL::VARCHAR AS _fault, 2 * rowid + 1 AS _id
FROM met
