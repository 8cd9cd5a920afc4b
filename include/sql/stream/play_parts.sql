-- Parts of sessions as plays. Live rows say nothing of a session's last bet.
SELECT
    * EXCLUDE (_day),
    NULL::STRUCT(placed_at TIMESTAMP, bet_id VARCHAR, stake DECIMAL(18, 4), balance_after DECIMAL(18, 4)) AS last_bet
FROM ({parts})
