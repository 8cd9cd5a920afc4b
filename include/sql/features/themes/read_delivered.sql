-- Which sources about protection are delivered, for whichever players.
SELECT
    EXISTS (SELECT 1 FROM {state} WHERE limit_changes > 0) AS has_limits,
    EXISTS (
        SELECT 1 FROM {players} WHERE registered_at IS NULL OR registered_at < getvariable('as_of')
    ) AS has_players
