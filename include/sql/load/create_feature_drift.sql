-- How far each feature was from its baseline in each run: the newest try of a run counts.
CREATE TABLE IF NOT EXISTS {table} (
    execution_id text NOT NULL,
    as_of timestamptz NOT NULL,
    baseline date NOT NULL,
    feature text NOT NULL,
    psi double precision,
    psi_limit double precision NOT NULL,
    beyond text[] NOT NULL,
    bins jsonb NOT NULL,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (execution_id, feature)
);
CREATE INDEX ON {table} (feature, as_of)
