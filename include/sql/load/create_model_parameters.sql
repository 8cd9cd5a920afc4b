-- What the models of each as_of learned, and how good last month's churn scores were.
CREATE TABLE IF NOT EXISTS {table} (
    as_of timestamptz NOT NULL,
    model text NOT NULL,
    parameters jsonb,
    fitted_as_of date,
    is_fallback boolean NOT NULL,
    problem text,
    cohort integer,
    log_likelihood double precision,
    evaluation jsonb,
    known_at timestamptz NOT NULL,
    execution_id text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (as_of, model)
)
