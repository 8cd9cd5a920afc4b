INSERT INTO {table} ({columns}, gone, updated_at)
SELECT {staged_columns}, %(gone)s, %(written_at)s
FROM {staging} AS staged
WHERE NOT EXISTS (SELECT FROM {table} AS target WHERE target.{key} = staged.{key})
