SELECT to_jsonb(quality_results) AS result
FROM ml_features.quality_results
WHERE execution_id = ANY (%(execution_ids)s) AND check_name = 'statistical_distribution'
ORDER BY as_of DESC, stage
