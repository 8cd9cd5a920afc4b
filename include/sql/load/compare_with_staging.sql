-- All that a load must know before it writes to the table, in one pass. Its verification runs this again. Rows without
-- the mark that the newest run did not have were left by earlier loads, so this load does not lose them. An append leaves
-- the rows of players whom it had as they were, so the history says who was in that run.
SELECT
    count(target.{key}) AS rows,
    count(*) FILTER (WHERE target.is_live) AS live,
    count(staged.{key}) AS staged,
    count(*) FILTER (WHERE target.{key} IS NULL) AS missing,
    count(*) FILTER (
        WHERE staged.as_of >= target.as_of
          AND (staged.as_of, staged.row_hash) IS DISTINCT FROM (target.as_of, target.row_hash)
    ) AS stale,
    count(*) FILTER (
        WHERE (target.gone OR target.marketing_reason IS NOT NULL)
          AND staged.as_of = target.as_of
          AND staged.row_hash = target.row_hash
    ) AS returned,
    count(*) FILTER (WHERE staged.as_of < target.as_of) AS older,
    count(*) FILTER (WHERE staged.{key} IS NULL) AS absent,
    count(*) FILTER (WHERE staged.{key} IS NULL AND target.is_live) AS lost,
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
FROM (
    SELECT
        held.*,
        held.gone IS NOT TRUE
            AND held.marketing_reason IS NULL
            AND (
                %(marks)s
                OR held.as_of = newest.as_of
                OR (
                    SELECT true
                    FROM {history} AS history
                    WHERE history.{key} = held.{key}
                      AND history.as_of = newest.as_of
                      AND history.marketing_reason IS NULL
                    LIMIT 1
                ) IS TRUE
            ) AS is_live
    FROM {table} AS held
    CROSS JOIN (SELECT max(as_of) AS as_of FROM {table}) AS newest
) AS target
FULL JOIN {staging} AS staged ON staged.{key} = target.{key}
