-- The players, if no source lists them.
SELECT NULL::VARCHAR AS user_id
WHERE false
