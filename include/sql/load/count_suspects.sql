-- What may have been edited, in one pass over the table and its newest day of the history. If nothing was, nobody has to
-- look closer. suspect: rows of the newest as_of that differ from that day. unrecorded: those that the day lacks. other:
-- rows of other days, which this pass does not compare. deleted: rows of the day that the table lacks, but for what this
-- load has just recorded.
SELECT
    count(*) FILTER (
        WHERE target.as_of = %(newest)s AND recorded.{key} IS NOT NULL AND {is_suspect}
    ) AS suspect,
    count(*) FILTER (WHERE target.as_of = %(newest)s AND recorded.{key} IS NULL) AS unrecorded,
    count(*) FILTER (WHERE target.{key} IS NOT NULL AND target.as_of IS DISTINCT FROM %(newest)s) AS other,
    count(*) FILTER (
        WHERE target.{key} IS NULL
          AND recorded.marketing_reason IS NULL
          AND recorded.updated_at < %(written_at)s
    ) AS deleted
FROM {table} AS target
FULL JOIN (SELECT * FROM {history} AS history WHERE history.as_of = %(newest)s) AS recorded
    ON recorded.{key} = target.{key}
