-- A batch's rows of one source, typed and judged.
CREATE OR REPLACE TEMPORARY TABLE fresh AS
SELECT * EXCLUDE (_raw, _id, _discarded)
FROM typed
