-- The score is a count of markers, so those that were added raise it and those that are gone lower it, all alike.
CASE
    WHEN past.user_id IS NULL OR present.user_id IS NULL THEN NULL
    WHEN present.rg_risk_score > past.rg_risk_score THEN (
        SELECT string_agg(marker, ', ' ORDER BY marker)
        FROM unnest(present.rg_markers_triggered) AS added (marker)
        WHERE marker <> ALL (past.rg_markers_triggered)
    )
    ELSE (
        SELECT string_agg(marker, ', ' ORDER BY marker)
        FROM unnest(past.rg_markers_triggered) AS dropped (marker)
        WHERE marker <> ALL (present.rg_markers_triggered)
    )
END
