-- Whether any campaign may write to a player. An unknown consent or birth date means no. A flag that is NULL counts as
-- not set, unless it holds something that cannot be read: that means no as well.
SELECT
    user_id,
    coalesce(
        len(canais_permitidos) > 0
        -- A player born on 29 February comes of age on 1 March in other years. Years are taken from the day of the run: a
        -- birth date may be so far in the future that none can be added to it.
        AND birth_date <= (getvariable('as_of_date') - to_years(getvariable('adult_age')))::DATE
        AND rg_self_exclusion_status IS DISTINCT FROM 'active'
        AND is_blocked IS NOT TRUE
        AND is_test IS NOT TRUE
        AND prohibited IS NOT TRUE
        AND protection_unreadable IS NULL
        AND rg_risk_band IS DISTINCT FROM 'high',
        false
    ) AS marketing_allowed
FROM users
JOIN protection_limits USING (user_id)
JOIN markers USING (user_id)
