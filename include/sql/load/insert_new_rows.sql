INSERT INTO {table} ({columns}, gone, marketing_reason, updated_at)
SELECT {staged_columns}, %(is_marked)s, CASE WHEN %(is_gone)s THEN 'gone' END, %(written_at)s
FROM {staging} AS staged
WHERE NOT EXISTS (SELECT FROM {table} AS target WHERE target.{key} = staged.{key})
