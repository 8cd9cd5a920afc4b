-- Where there is neither a recorded session nor a bet to derive one from.
SELECT
    NULL::VARCHAR AS user_id,
    NULL::TIMESTAMP AS started_at,
    NULL::TIMESTAMP AS ended_at,
    NULL::DATE AS _day
WHERE false
