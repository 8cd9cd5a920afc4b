-- What was searched after an erasure, and that nothing was found. No id is in it.
CREATE TABLE {table} (
    certificate_id text PRIMARY KEY,
    issued_at timestamptz NOT NULL,
    document jsonb NOT NULL,
    sha256 text NOT NULL
)
