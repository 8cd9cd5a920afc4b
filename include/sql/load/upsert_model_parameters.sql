-- Writes one model of a run, unless a run of the same as_of with a later known_at has written it. Equal content writes
-- nothing.
INSERT INTO {table} AS kept (
    as_of, model, parameters, fitted_as_of, is_fallback, problem, cohort, log_likelihood, evaluation, known_at,
    execution_id, updated_at
)
VALUES (
    %(as_of)s, %(model)s, %(parameters)s::jsonb, %(fitted_as_of)s, %(is_fallback)s, %(problem)s, %(cohort)s,
    %(log_likelihood)s, %(evaluation)s::jsonb, %(known_at)s, %(execution_id)s, %(written_at)s
)
ON CONFLICT (as_of, model) DO UPDATE SET
    parameters = excluded.parameters,
    fitted_as_of = excluded.fitted_as_of,
    is_fallback = excluded.is_fallback,
    problem = excluded.problem,
    cohort = excluded.cohort,
    log_likelihood = excluded.log_likelihood,
    evaluation = excluded.evaluation,
    known_at = excluded.known_at,
    execution_id = excluded.execution_id,
    updated_at = excluded.updated_at
WHERE excluded.known_at >= kept.known_at
  AND (
      excluded.parameters, excluded.fitted_as_of, excluded.is_fallback, excluded.problem, excluded.cohort,
      excluded.log_likelihood, excluded.evaluation
  ) IS DISTINCT FROM (
      kept.parameters, kept.fitted_as_of, kept.is_fallback, kept.problem, kept.cohort, kept.log_likelihood,
      kept.evaluation
  )
