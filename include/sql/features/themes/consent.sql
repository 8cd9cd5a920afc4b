-- Whether a player may be written to at all: the gate of every campaign. An unknown consent or birth date is a no; a flag
-- that nobody set is not set.
WITH ages AS (
    SELECT
        user_id,
        -- Born on 29 February: of age on 1 March of a year without one, since the engine would say 28 February.
        birth_date + to_years(getvariable('adult_age')) AS birthday,
        birthday::DATE + (day(birthday) <> day(birth_date))::INTEGER AS of_age_on
    FROM users
)
SELECT
    user_id,
    coalesce(
        len(canais_permitidos) > 0
        AND of_age_on <= getvariable('as_of_date')
        AND rg_self_exclusion_status IS DISTINCT FROM 'active'
        AND is_blocked IS NOT TRUE
        AND is_test IS NOT TRUE
        AND prohibited IS NOT TRUE
        AND rg_risk_band IS DISTINCT FROM 'high',
        false
    ) AS marketing_allowed
FROM users
JOIN ages USING (user_id)
JOIN protection_limits USING (user_id)
JOIN markers USING (user_id)
