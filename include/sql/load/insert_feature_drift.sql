-- One feature beside its baseline.
INSERT INTO {table} (execution_id, as_of, baseline, feature, psi, psi_limit, beyond, bins, written_at)
VALUES (
    %(execution_id)s, %(as_of)s, %(baseline)s, %(feature)s, %(psi)s, %(psi_limit)s, %(beyond)s, %(bins)s::jsonb,
    %(written_at)s
)
