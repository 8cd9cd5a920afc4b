-- All that a load must know before it writes, but for cells, in one pass. Its verification runs this again. Rows without
-- the mark that are older than the table had been left by earlier loads, so this load does not lose them.
SELECT
    count(target.{key}) AS rows,
    count(staged.{key}) AS staged,
    count(*) FILTER (WHERE target.{key} IS NULL) AS missing,
    count(*) FILTER (
        WHERE staged.as_of >= target.as_of
          AND (staged.as_of, staged.row_hash) IS DISTINCT FROM (target.as_of, target.row_hash)
    ) AS stale,
    count(*) FILTER (WHERE staged.as_of = target.as_of AND staged.row_hash = target.row_hash) AS equal,
    count(*) FILTER (
        WHERE (target.gone OR target.marketing_reason IS NOT NULL)
          AND staged.as_of = target.as_of
          AND staged.row_hash = target.row_hash
    ) AS returned,
    count(*) FILTER (WHERE staged.as_of < target.as_of) AS older,
    count(*) FILTER (WHERE staged.{key} IS NULL) AS absent,
    count(*) FILTER (
        WHERE staged.{key} IS NULL
          AND target.gone IS NOT TRUE
          AND target.marketing_reason IS NULL
          AND (%(marks)s OR target.as_of = newest.as_of)
    ) AS lost,
    count(*) FILTER (
        WHERE staged.{key} IS NULL
          AND (
              target.marketing_reason IS NULL
              OR target.marketing_allowed
              OR (%(marks)s AND target.gone IS NOT TRUE)
          )
    ) AS unsettled,
    min(staged.as_of) AS oldest_staged,
    max(staged.as_of) AS newest_staged,
    max(target.as_of) AS newest_loaded
FROM {table} AS target
FULL JOIN {staging} AS staged ON staged.{key} = target.{key}
CROSS JOIN (SELECT max(as_of) AS as_of FROM {table}) AS newest
