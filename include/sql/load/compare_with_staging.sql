-- All that a load must know before it writes, in one pass. Its verification runs this again.
--
-- The hashes of the cells are computed below the join (OFFSET 0 keeps them there), so that it carries a number a row and
-- not a hundred columns. Marketing is compared apart: a player who is gone has none, whatever was staged. Rows without
-- the mark that are older than the table had been left by earlier loads, so this load does not lose them.
SELECT
    count(target.{key}) AS rows,
    count(staged.{key}) AS staged,
    count(*) FILTER (WHERE target.{key} IS NULL) AS missing,
    count(*) FILTER (
        WHERE staged.as_of >= target.as_of
          AND (staged.as_of, staged.row_hash) IS DISTINCT FROM (target.as_of, target.row_hash)
    ) AS stale,
    count(*) FILTER (
        WHERE staged.as_of = target.as_of
          AND staged.row_hash = target.row_hash
          AND (
              staged.cells <> target.cells
              OR (staged.marketing_allowed AND NOT target.is_stopped) <> target.marketing_allowed
          )
    ) AS edited,
    count(*) FILTER (
        WHERE (target.is_marked OR target.is_stopped)
          AND staged.as_of = target.as_of
          AND staged.row_hash = target.row_hash
          AND staged.cells = target.cells
          AND (staged.marketing_allowed AND NOT target.is_stopped) = target.marketing_allowed
    ) AS returned,
    count(*) FILTER (WHERE staged.as_of < target.as_of) AS older,
    count(*) FILTER (WHERE staged.{key} IS NULL) AS absent,
    count(*) FILTER (
        WHERE staged.{key} IS NULL
          AND NOT (target.is_marked OR target.is_stopped)
          AND (%(marks)s OR target.as_of = newest.as_of)
    ) AS lost,
    count(*) FILTER (
        WHERE staged.{key} IS NULL
          AND (NOT target.is_stopped OR target.marketing_allowed OR (%(marks)s AND NOT target.is_marked))
    ) AS unsettled,
    min(staged.as_of) AS oldest_staged,
    max(staged.as_of) AS newest_staged,
    max(target.as_of) AS newest_loaded
FROM (
    SELECT
        {key},
        as_of,
        row_hash,
        marketing_allowed,
        marketing_reason IS NOT NULL AS is_stopped,
        gone IS TRUE AS is_marked,
        {cells} AS cells
    FROM {table}
    OFFSET 0
) AS target
FULL JOIN (
    SELECT {key}, as_of, row_hash, marketing_allowed, {cells} AS cells
    FROM {staging}
    OFFSET 0
) AS staged ON staged.{key} = target.{key}
CROSS JOIN (SELECT max(as_of) AS as_of FROM {table}) AS newest
