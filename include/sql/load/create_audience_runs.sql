-- What was handed over: one row for each publication of an audience, and whether its receiver has confirmed it.
CREATE TABLE IF NOT EXISTS {table} (
    place bigint GENERATED ALWAYS AS IDENTITY,
    publication text PRIMARY KEY,
    audience text NOT NULL,
    purpose text NOT NULL,
    definition text NOT NULL,
    as_of timestamptz NOT NULL,
    execution_id text NOT NULL,
    baseline text,
    members bigint NOT NULL,
    entered bigint NOT NULL,
    leavers bigint NOT NULL,
    excluded jsonb NOT NULL,
    files jsonb NOT NULL,
    published_at timestamptz NOT NULL,
    message text,
    delivered_at timestamptz
);
CREATE INDEX ON {table} (audience, place)
