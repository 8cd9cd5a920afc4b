-- The bets that came and the sessions that they are near, as plays. Live rows say nothing of a session's last bet.
{bets}
UNION ALL BY NAME
SELECT * EXCLUDE (_day, place)
FROM near_sessions
