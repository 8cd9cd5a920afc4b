-- What became of a request.
UPDATE {table}
SET state = %(state)s, reason = %(reason)s
WHERE request_id = %(request_id)s
