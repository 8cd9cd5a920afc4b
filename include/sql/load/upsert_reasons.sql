-- Writes the reasons that are new or say something else. Equal rows are left as they are.
INSERT INTO {table} AS target ({columns})
SELECT {staged_columns}
FROM {staging} AS staged
ON CONFLICT ({key}) DO UPDATE SET {assignments}
WHERE (target.as_of, target.row_hash) IS DISTINCT FROM (excluded.as_of, excluded.row_hash)
