-- A batch's good rows of the held days, and the held rows that have the business key and day of one of them.
CREATE OR REPLACE TEMPORARY TABLE candidates AS
FROM fresh
WHERE _fault IS NULL AND _day IN ({days})
UNION ALL BY NAME
SELECT *, NULL::VARCHAR AS _fault
FROM {held} AS held
SEMI JOIN (FROM fresh WHERE _fault IS NULL AND _day IN ({days})) AS fresh USING ({key}, _day)
