-- Rows of some days as plain values, held for the statements that follow.
CREATE OR REPLACE TEMPORARY TABLE {table} AS
SELECT *
FROM ({rows})
WHERE coalesce(_placed, DATE '0001-01-01') IN ({days})
