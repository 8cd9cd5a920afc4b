-- Whether a row of the table is not what its row of the history says.
CASE
    WHEN {is_same}
    THEN {cells_differ}
        OR {is_loud}
        OR (
            recorded.updated_at < %(written_at)s
            AND target.marketing_reason IS DISTINCT FROM recorded.marketing_reason
        )
    ELSE recorded.updated_at < %(written_at)s
END
