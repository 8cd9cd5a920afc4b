-- Requests that are being fulfilled.
SELECT request_id, user_id, requested_at
FROM {table}
WHERE state = 'erasing'
ORDER BY request_id
