-- What each check found in each run and stage: the newest try of a run counts.
CREATE TABLE IF NOT EXISTS {table} (
    execution_id text NOT NULL,
    as_of timestamptz NOT NULL,
    stage text NOT NULL,
    check_name text NOT NULL,
    severity text NOT NULL,
    success boolean NOT NULL,
    score double precision NOT NULL,
    grade char(1) NOT NULL,
    threshold jsonb NOT NULL,
    observed jsonb NOT NULL,
    sample_keys jsonb NOT NULL,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (execution_id, stage, check_name)
)
