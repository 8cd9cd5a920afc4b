DELETE FROM {table} AS live
USING (VALUES %s) AS gone (user_id, day)
WHERE live.user_id = gone.user_id AND live.day = gone.day::date
