-- Compares the history as compare_written_rows compares the target.
SELECT
    count(*) FILTER (WHERE history.updated_at = %(written_at)s) AS written,
    count(*) FILTER (
        WHERE history.updated_at = %(written_at)s AND ({target_columns}) IS DISTINCT FROM ({staged_values})
    ) AS miswritten
FROM {staging} AS staged
JOIN {table} AS history
    ON history.{key} = staged.{key}
   AND history.as_of = staged.as_of
   AND history.as_of BETWEEN %(oldest_staged)s AND %(newest_staged)s
