-- They come back as parts of the sessions that they make with the bets.
DELETE FROM {sessions}
WHERE rowid IN (SELECT place FROM near_sessions)
