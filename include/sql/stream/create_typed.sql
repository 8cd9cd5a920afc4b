-- The candidates, as the statements of cleaning that drop duplicates read them.
CREATE OR REPLACE TEMPORARY VIEW typed AS
SELECT *, rowid AS _id
FROM candidates
