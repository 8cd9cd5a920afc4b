-- A request that is fulfilled names nobody.
UPDATE {table}
SET user_id = NULL, state = 'erased', reason = NULL, certificate_id = %(certificate_id)s, ended_at = %(ended_at)s
WHERE request_id = ANY (%(request_ids)s)
