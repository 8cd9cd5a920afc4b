-- The rows of a batch that stand and are not held yet.
CREATE OR REPLACE TEMPORARY TABLE {added} AS
SELECT * EXCLUDE (_held)
FROM ({accepted})
WHERE _held IS NULL
