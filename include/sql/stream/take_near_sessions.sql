-- The sessions that a bet which came may join: those from which it is no more than 30 minutes away, as join_plays says. A bet
-- between two sessions is near both, so all others stay as they are.
CREATE OR REPLACE TEMPORARY TABLE near_sessions AS
SELECT *, rowid AS place
FROM {sessions}
WHERE rowid IN (
    SELECT whole.rowid
    FROM {sessions} AS whole
    JOIN bets
        ON bets.user_id = whole.user_id
        AND bets.placed_at BETWEEN whole.started_at - INTERVAL 30 MINUTES AND whole.ended_at + INTERVAL 30 MINUTES
)
