-- All that a load must know before it writes, in one pass. Its verification runs this again.
SELECT
    count(target.{key}) AS rows,
    count(staged.{key}) AS staged,
    count(*) FILTER (WHERE target.{key} IS NULL) AS missing,
    count(*) FILTER (
        WHERE staged.as_of >= target.as_of
          AND (staged.as_of, staged.row_hash) IS DISTINCT FROM (target.as_of, target.row_hash)
    ) AS stale,
    count(*) FILTER (
        WHERE target.gone AND (staged.as_of, staged.row_hash) IS NOT DISTINCT FROM (target.as_of, target.row_hash)
    ) AS returned,
    count(*) FILTER (WHERE staged.as_of < target.as_of) AS older,
    count(*) FILTER (WHERE staged.{key} IS NULL) AS absent,
    count(*) FILTER (WHERE staged.{key} IS NULL AND target.gone IS NOT TRUE) AS unmarked,
    min(staged.as_of) AS oldest_staged,
    max(staged.as_of) AS newest_staged,
    max(target.as_of) AS newest_loaded
FROM {table} AS target
FULL JOIN {staging} AS staged ON staged.{key} = target.{key}
