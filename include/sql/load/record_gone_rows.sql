-- A row for each player who is gone, as of the load that found it: the last features, without marketing. Its row_hash is
-- no row's that a run computes, so a run that finds the player again takes its place.
INSERT INTO {table} AS history ({columns}, marketing_reason, updated_at)
SELECT {values}, 'gone', %(written_at)s
FROM (
    {rows}
) AS lost
CROSS JOIN (SELECT max(known_at) AS known_at FROM {staging}) AS run
ON CONFLICT ({key}, as_of) DO UPDATE
SET {assignments}, marketing_reason = excluded.marketing_reason, updated_at = excluded.updated_at
WHERE %(is_found_now)s AND history.marketing_reason IS NULL
