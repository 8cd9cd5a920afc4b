-- Requests that are not fulfilled, the oldest first.
SELECT request_id, user_id, requested_at, state = 'erasing'
FROM {table}
WHERE state <> 'erased'
ORDER BY request_id
FOR UPDATE
