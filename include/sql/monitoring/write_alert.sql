INSERT INTO {schema}.alerts (
    raised_at, kind, dag_id, execution_id, as_of_date, task_id, try_number, what, next_step, anchor, delivered
) VALUES (
    %(raised_at)s, %(kind)s, %(dag_id)s, %(execution_id)s, %(as_of_date)s, %(task_id)s, %(try_number)s, %(what)s,
    %(next_step)s, %(anchor)s, %(delivered)s
)
