DELETE FROM {table} AS target
WHERE NOT EXISTS (SELECT FROM {staging} AS staged WHERE staged.{key} = target.{key})
