-- The markers of a player that reach their cut-offs, and their share of all markers that are known for the player.
WITH shown AS (
    SELECT user_id, list(marker ORDER BY marker) AS markers
    FROM protection_values
    JOIN cut_offs USING (marker)
    WHERE value > 0 AND value >= cut_off
    GROUP BY user_id
),
counts AS (
    SELECT
        user_id,
        rg_self_exclusion_status IS NOT DISTINCT FROM 'active' AS is_excluded,
        CASE WHEN is_excluded THEN ['self_exclusion'] ELSE [] END AS exclusion,
        list_sort(list_concat(coalesce(markers, []), exclusion)) AS rg_markers_triggered,
        (SELECT count(*) FROM cut_offs) + len(exclusion) AS available
    FROM protection_limits
    LEFT JOIN shown USING (user_id)
)
SELECT
    user_id,
    rg_markers_triggered,
    CASE WHEN available > 0 THEN real6(len(rg_markers_triggered) / available) END AS rg_risk_score,
    CASE
        WHEN rg_risk_score >= getvariable('rg_band_high') THEN 'high'
        WHEN rg_risk_score >= getvariable('rg_band_medium') THEN 'medium'
        WHEN rg_risk_score IS NOT NULL THEN 'low'
    END AS rg_risk_band
FROM counts
