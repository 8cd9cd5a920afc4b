-- Who asked to be erased. The id is here only until it is done.
CREATE TABLE {table} (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text CHECK (user_id ~ '\S' AND length(user_id) <= 200),
    requested_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    requested_by text NOT NULL DEFAULT session_user,
    -- The user of Airflow who filled in the form. NULL if somebody wrote the row by SQL.
    entered_by text,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'held', 'erasing', 'erased')),
    reason text,
    ended_at timestamptz,
    certificate_id text,
    CHECK ((state = 'erased') = (user_id IS NULL))
)
