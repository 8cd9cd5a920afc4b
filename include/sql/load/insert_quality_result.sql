-- What one check found.
INSERT INTO {table} (
    execution_id, as_of, stage, check_name, severity, success, score, grade, threshold, observed, sample_keys, written_at
)
VALUES (
    %(execution_id)s, %(as_of)s, %(stage)s, %(check_name)s, %(severity)s, %(success)s, %(score)s, %(grade)s,
    %(threshold)s::jsonb, %(observed)s::jsonb, %(sample_keys)s::jsonb, %(written_at)s
)
