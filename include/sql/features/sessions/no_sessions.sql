-- Where there is neither a recorded session nor a bet to derive one from.
SELECT
    NULL::VARCHAR AS user_id,
    NULL::VARCHAR AS session_id,
    NULL::TIMESTAMP AS started_at,
    NULL::TIMESTAMP AS ended_at,
    NULL::INTEGER AS bets,
    NULL::DECIMAL(18, 4) AS stake_sum,
    NULL::DECIMAL(18, 4) AS settled_stake_sum,
    NULL::DECIMAL(22, 4) AS payout_sum,
    NULL::DECIMAL(18, 4) AS last_stake,
    NULL::DECIMAL(18, 4) AS last_balance,
    NULL::DATE AS _day
WHERE false
