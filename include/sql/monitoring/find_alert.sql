SELECT EXISTS (
    SELECT FROM ml_features.alerts
    WHERE dag_id = %(dag_id)s AND execution_id = %(execution_id)s AND kind = ANY (%(kinds)s)
)
