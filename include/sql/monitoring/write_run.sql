-- A failure leaves the run's earlier success, which the charts show. A success makes the failure history.
WITH mended AS (
    DELETE FROM {schema}.pipeline_runs
    WHERE dag_id = %(dag_id)s AND execution_id = %(execution_id)s AND state = 'failed' AND %(state)s = 'success'
)
INSERT INTO {schema}.pipeline_runs (
    dag_id, execution_id, run_type, brand, as_of, as_of_date, state, started_at, ended_at, failed_task, failure,
    records_extracted, records_cleaned, records_duplicate, records_outside, records_erased,
    records_quarantined,
    quarantined, records_transformed, records_inserted, records_updated, records_unchanged,
    records_removed, bytes_read, bytes_written, store_bytes, quality_score, quality_grade, success_rate,
    accepted_rate, tasks, quality, players, params, versions
) VALUES (
    %(dag_id)s, %(execution_id)s, %(run_type)s, %(brand)s, %(as_of)s, %(as_of_date)s, %(state)s, %(started_at)s,
    %(ended_at)s, %(failed_task)s, %(failure)s, %(records_extracted)s, %(records_cleaned)s,
    %(records_duplicate)s, %(records_outside)s, %(records_erased)s, %(records_quarantined)s, %(quarantined)s,
    %(records_transformed)s, %(records_inserted)s, %(records_updated)s, %(records_unchanged)s,
    %(records_removed)s, %(bytes_read)s, %(bytes_written)s, %(store_bytes)s, %(quality_score)s, %(quality_grade)s,
    %(success_rate)s, %(accepted_rate)s, %(tasks)s, %(quality)s, %(players)s, %(params)s,
    %(versions)s
)
ON CONFLICT (dag_id, execution_id, state) DO UPDATE SET
    run_type = excluded.run_type,
    brand = excluded.brand,
    as_of = excluded.as_of,
    as_of_date = excluded.as_of_date,
    started_at = excluded.started_at,
    ended_at = excluded.ended_at,
    failed_task = excluded.failed_task,
    failure = excluded.failure,
    records_extracted = excluded.records_extracted,
    records_cleaned = excluded.records_cleaned,
    records_duplicate = excluded.records_duplicate,
    records_outside = excluded.records_outside,
    records_erased = excluded.records_erased,
    records_quarantined = excluded.records_quarantined,
    quarantined = excluded.quarantined,
    records_transformed = excluded.records_transformed,
    records_inserted = excluded.records_inserted,
    records_updated = excluded.records_updated,
    records_unchanged = excluded.records_unchanged,
    records_removed = excluded.records_removed,
    bytes_read = excluded.bytes_read,
    bytes_written = excluded.bytes_written,
    store_bytes = excluded.store_bytes,
    quality_score = excluded.quality_score,
    quality_grade = excluded.quality_grade,
    success_rate = excluded.success_rate,
    accepted_rate = excluded.accepted_rate,
    tasks = excluded.tasks,
    quality = excluded.quality,
    players = excluded.players,
    params = excluded.params,
    versions = excluded.versions
