-- Requests that should have been fulfilled.
SELECT request_id
FROM {table}
WHERE state IN ('open', 'erasing') AND requested_at < %(before)s
ORDER BY request_id
