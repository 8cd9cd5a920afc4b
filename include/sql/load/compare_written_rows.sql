-- Cell by cell, since row_hash only says what the row should hold. The load's rows carry its instant in updated_at.
-- A condition on it in WHERE would be estimated from statistics older than the load, and a nested loop chosen.
SELECT
    count(*) FILTER (WHERE target.updated_at = %(written_at)s) AS written,
    count(*) FILTER (
        WHERE target.updated_at = %(written_at)s AND ({target_columns}) IS DISTINCT FROM ({staged_values})
    ) AS miswritten
FROM {staging} AS staged
JOIN {table} AS target ON target.{key} = staged.{key}
