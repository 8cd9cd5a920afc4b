-- Players whose data the law demands to keep. While a hold stands, nobody erases them.
CREATE TABLE {table} (
    hold_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text NOT NULL,
    reason text NOT NULL,
    stands_until date,
    placed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    placed_by text NOT NULL DEFAULT session_user
)
