-- Rows are compared cell by cell, since row_hash only says what a row should hold. Rows that the load wrote carry its
-- instant in updated_at. This is no condition in WHERE: the planner would estimate it by statistics that are older than
-- the load, and choose a nested loop.
SELECT
    count(*) FILTER (WHERE target.updated_at = %(written_at)s) AS written,
    count(*) FILTER (
        WHERE target.updated_at = %(written_at)s AND ({target_columns}) IS DISTINCT FROM ({staged_values})
    ) AS miswritten
FROM {staging} AS staged
JOIN {table} AS target ON target.{key} = staged.{key}
