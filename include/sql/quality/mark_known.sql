-- Rows that may protect players. Each that cannot be read says whether it names a player who is known, by an id of the
-- same form; NULL if no source lists the players.
WITH rows AS (
    {rows}
),
-- Few rows cannot be read, and without any the ids of the players need not be looked at.
named AS (
    SELECT DISTINCT fold_id(user_id) AS form
    FROM rows
    WHERE unreadable IS NOT NULL
),
known AS (
    SELECT DISTINCT form
    FROM named
    JOIN ({players}) AS players ON fold_id(players.user_id) = form
)
SELECT
    *,
    CASE WHEN unreadable IS NOT NULL THEN {is_known} END AS names_a_player
FROM rows
-- A row of the snapshot whose id cannot be read, and looks like nobody's, adds no player who could be protected.
WHERE source <> {players_source} OR names_a_player IS NOT FALSE OR NOT contains(unreadable, 'user_id: ')
