-- A batch's rows of one source, typed and judged. A hash of business key and day finds the rows that have both in common.
CREATE OR REPLACE TEMPORARY TABLE fresh AS
SELECT * EXCLUDE (_raw, _id, _discarded), hash({key}, _day) AS _keyed
FROM typed
