CREATE TABLE IF NOT EXISTS {schema}.alerts (
    alert_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    raised_at timestamptz NOT NULL,
    kind text NOT NULL,
    dag_id text NOT NULL,
    execution_id text NOT NULL,
    as_of_date date,
    task_id text,
    try_number integer,
    what text NOT NULL,
    next_step text NOT NULL,
    anchor text NOT NULL,
    delivered jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS alerts_raised_at ON {schema}.alerts (raised_at);
COMMENT ON TABLE {schema}.alerts IS
    'One row an alert, whether or not a channel took it: `delivered` names the channels and what became of each.'
