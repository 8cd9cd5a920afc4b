-- Columns that a table of an earlier release lacks.
ALTER TABLE {schema}.pipeline_runs
    ADD COLUMN IF NOT EXISTS records_erased bigint,
    ADD COLUMN IF NOT EXISTS store_bytes bigint
