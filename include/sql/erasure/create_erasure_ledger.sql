-- Players who were erased, by a keyed hash of the id. Cleaning leaves them out for ever.
CREATE TABLE {table} (
    player_hash text PRIMARY KEY,
    key_name text NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT pg_catalog.now()
)
