INSERT INTO {table} ({columns}, reconstructed, reconstructed_because, updated_at)
SELECT {staged_columns}, %(is_reconstructed)s, %(reconstructed)s, %(written_at)s
FROM {staging} AS staged
WHERE NOT EXISTS (
    SELECT
    FROM {table} AS history
    WHERE history.{key} = staged.{key}
      AND history.as_of = staged.as_of
      AND history.as_of BETWEEN %(oldest_staged)s AND %(newest_staged)s
)
