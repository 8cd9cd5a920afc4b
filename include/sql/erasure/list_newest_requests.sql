-- The newest requests without their ids.
SELECT request_id, requested_at, coalesce(entered_by, requested_by), state, reason, ended_at, certificate_id
FROM {table}
ORDER BY request_id DESC
LIMIT %(most)s
