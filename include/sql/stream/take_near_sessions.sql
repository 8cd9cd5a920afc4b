-- The sessions that a bet which came may join: those from which it is no more than 30 minutes away, as join_plays says. A bet
-- between two sessions is near both, so all others stay as they are. Most bets are of the last minutes: sessions that were
-- over before any of them are not compared with each.
CREATE OR REPLACE TEMPORARY TABLE near_sessions AS
SELECT *, rowid AS place
FROM {sessions}
WHERE rowid IN (
    SELECT whole.place
    FROM (
        SELECT user_id, started_at, ended_at, rowid AS place
        FROM {sessions}
        WHERE ended_at >= (SELECT min(placed_at) FROM bets) - INTERVAL 30 MINUTES
            AND started_at <= (SELECT max(placed_at) FROM bets) + INTERVAL 30 MINUTES
    ) AS whole
    JOIN bets
        ON bets.user_id = whole.user_id
        AND bets.placed_at BETWEEN whole.started_at - INTERVAL 30 MINUTES AND whole.ended_at + INTERVAL 30 MINUTES
)
