SELECT {columns}
FROM {staging} AS staged
WHERE NOT EXISTS (SELECT FROM {table} AS target WHERE target.{key} = staged.{key})
