ALTER TABLE {schema}.pipeline_runs
    DROP CONSTRAINT {key},
    ADD PRIMARY KEY (dag_id, execution_id, state)
