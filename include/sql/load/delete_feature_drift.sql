-- Removes the figures of an earlier try of the run.
DELETE FROM {table} WHERE execution_id = %(execution_id)s
