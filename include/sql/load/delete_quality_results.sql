-- What an earlier try of the run found.
DELETE FROM {table} WHERE execution_id = %(execution_id)s AND stage = %(stage)s
