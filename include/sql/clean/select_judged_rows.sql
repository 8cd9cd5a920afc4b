-- Rows that were judged.
SELECT *, {number} AS _id
FROM {judged}
