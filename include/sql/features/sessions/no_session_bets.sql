-- Where there is no bet to find a session for.
SELECT
    NULL::VARCHAR AS user_id,
    NULL::VARCHAR AS session_id,
    NULL::TIMESTAMP AS started_at,
    NULL::INTEGER AS bets,
    NULL::DECIMAL(18, 4) AS stake_sum,
    NULL::DECIMAL(18, 4) AS settled_stake_sum,
    NULL::DECIMAL(22, 4) AS payout_sum,
    NULL::TIMESTAMP AS placed_at,
    NULL::VARCHAR AS bet_id,
    NULL::DECIMAL(18, 4) AS last_stake,
    NULL::DECIMAL(18, 4) AS last_balance,
    NULL::DATE AS _day
WHERE false
