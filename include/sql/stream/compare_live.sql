-- How many live rows there are on either side, the first players whose rows differ, and in how many rows each column does.
SELECT
    count(*),
    list(coalesce(live.user_id, rebuilt.user_id) ORDER BY coalesce(live.user_id, rebuilt.user_id)) FILTER (
        live.user_id IS NULL OR rebuilt.user_id IS NULL OR {live_cells} IS DISTINCT FROM {rebuilt_cells}
    )[1:{examples}],
    {differences}
FROM {live} AS live
FULL JOIN (FROM {rebuilt} WHERE day = {day}) AS rebuilt ON rebuilt.user_id = live.user_id
