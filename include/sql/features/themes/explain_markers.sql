-- What moves each player's rg_risk_score from that of the same player with one marker of the median player, largest
-- first. Each marker shown is worth one of those available. An active self-exclusion counts among both. Equal moves are
-- in the order of how far a value lies beyond its cut-off.
WITH shown AS (
    SELECT
        user_id,
        marker AS feature,
        coalesce(value / nullif(greatest(cut_off, 0), 0), 1) AS extent,
        usual > 0 AND usual >= cut_off AS is_usual
    FROM protection_values
    JOIN cut_offs USING (marker)
    JOIN usual_markers USING (marker)
    WHERE value > 0 AND value >= cut_off
    UNION ALL
    SELECT user_id, 'self_exclusion', 1, false
    FROM protection_limits
    WHERE rg_self_exclusion_status = 'active'
),
counted AS (
    SELECT
        user_id,
        len(rg_markers_triggered) AS triggered,
        (SELECT count(*) FROM cut_offs) + list_contains(rg_markers_triggered, 'self_exclusion')::INTEGER AS available
    FROM markers
),
moves AS (
    SELECT
        user_id,
        feature,
        extent,
        real6(
            triggered / available
            - CASE
                WHEN feature <> 'self_exclusion' THEN (triggered - 1) / available
                WHEN available > 1 THEN (triggered - 1) / (available - 1)
                ELSE 0
            END
        ) AS move
    FROM shown
    JOIN counted USING (user_id)
    WHERE NOT is_usual
)
SELECT
    user_id,
    list({'feature': feature, 'move': move} ORDER BY move DESC, extent DESC, feature) AS reasons
FROM moves
WHERE move > 0
GROUP BY user_id
