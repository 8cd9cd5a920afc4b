-- Rows of some days as plain values, held for the statements that follow.
CREATE OR REPLACE TEMPORARY TABLE {table} AS
SELECT *
FROM ({rows})
WHERE {wanted}
