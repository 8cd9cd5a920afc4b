INSERT INTO {table} ({columns}, updated_at)
SELECT {staged_columns}, %(written_at)s
FROM {staging} AS staged
WHERE NOT EXISTS (
    SELECT
    FROM {table} AS history
    WHERE history.{key} = staged.{key}
      AND history.as_of = staged.as_of
      AND history.as_of BETWEEN %(oldest_staged)s AND %(newest_staged)s
)
