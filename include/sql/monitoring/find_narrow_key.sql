-- Until 0.8.0 a run had one row, so the failure of a cleared run replaced its success.
SELECT conname
FROM pg_constraint
WHERE conrelid = to_regclass(%(table)s) AND contype = 'p' AND cardinality(conkey) = 2
