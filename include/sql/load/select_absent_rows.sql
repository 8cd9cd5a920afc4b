SELECT {columns}
FROM {table} AS target
WHERE target.marketing_reason IS DISTINCT FROM 'gone'
  AND NOT EXISTS (SELECT FROM {staging} AS staged WHERE staged.{key} = target.{key})
