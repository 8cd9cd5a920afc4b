-- Sessions that the bets of a batch are near, with their places among all.
CREATE OR REPLACE TEMPORARY TABLE near_sessions (
    user_id VARCHAR,
    started_at TIMESTAMP,
    ended_at TIMESTAMP,
    bets INTEGER,
    stake_sum DECIMAL(18, 4),
    settled_stake_sum DECIMAL(18, 4),
    payout_sum DECIMAL(22, 4),
    _day DATE,
    place BIGINT
)
