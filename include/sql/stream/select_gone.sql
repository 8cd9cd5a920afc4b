-- Live rows of which no event is left: each of them was corrected, and is of another player now.
SELECT user_id, day::VARCHAR
FROM changed
ANTI JOIN (SELECT user_id, _day AS day FROM live_events) AS happened USING (user_id, day)
ORDER BY user_id, day
