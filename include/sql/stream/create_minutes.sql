-- How the stream does, minute by minute, for people who watch it. Figures of up to some seconds are lost if a run dies.
CREATE TABLE {table} (
    minute timestamptz PRIMARY KEY,
    messages bigint NOT NULL,
    batches integer NOT NULL,
    quarantined bigint NOT NULL,
    late bigint NOT NULL,
    age_max double precision,
    lag bigint NOT NULL,
    lag_seconds double precision NOT NULL,
    away_seconds double precision NOT NULL,
    max_age_seconds double precision NOT NULL,
    seen_at timestamptz NOT NULL
)
