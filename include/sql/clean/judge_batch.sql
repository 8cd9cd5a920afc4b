-- Rows of some days, typed and judged, held for the statements that follow.
CREATE OR REPLACE TEMPORARY TABLE {table} AS
SELECT *
FROM ({rows})
WHERE {wanted}
