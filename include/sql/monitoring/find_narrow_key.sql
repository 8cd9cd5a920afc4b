-- Until 0.8.0 a run had one row, so the failure of a cleared run replaced its success.
SELECT conname
FROM pg_constraint
WHERE conrelid = to_regclass('ml_features.pipeline_runs') AND contype = 'p' AND cardinality(conkey) = 2
