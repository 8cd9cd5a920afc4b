-- No row of limits or players is in quarantine.
SELECT NULL::VARCHAR AS user_id, NULL::TIMESTAMP AS changed_at, NULL::VARCHAR AS unreadable
WHERE false
