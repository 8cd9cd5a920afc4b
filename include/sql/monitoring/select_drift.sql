SELECT to_jsonb(quality_results) AS result
FROM ml_features.quality_results
WHERE coalesce(to_jsonb(quality_results) ->> 'execution_id', to_jsonb(quality_results) ->> 'run_id')
    = ANY (%(execution_ids)s)
    AND to_jsonb(quality_results) ->> 'check_name' IN ('statistical_distribution', 'drift')
