-- Which games a player plays.
WITH decay AS (
    SELECT age, round(pow(2, -age / 30), 12)::DECIMAL(13, 12) AS weight
    FROM range(90) AS ages(age)
),
sums AS (
    SELECT
        user_id,
        sum(stake_sum) AS stake,
        sum(stake_cassino) AS stake_cassino,
        sum(stake_crash) AS stake_crash,
        sum(stake_esportes) AS stake_esportes,
        sum(stake_poker) AS stake_poker,
        sum(stake_slots) AS stake_slots,
        sum(stake_cassino::DECIMAL(22, 4) * weight) AS cassino,
        sum(stake_crash::DECIMAL(22, 4) * weight) AS crash,
        sum(stake_esportes::DECIMAL(22, 4) * weight) AS esportes,
        sum(stake_poker::DECIMAL(22, 4) * weight) AS poker,
        sum(stake_slots::DECIMAL(22, 4) * weight) AS slots,
        greatest(cassino, crash, esportes, poker, slots) AS top,
        [sum(bets_cassino), sum(bets_crash), sum(bets_esportes), sum(bets_poker), sum(bets_slots)] AS bets_by_game,
        coalesce(sum(bets) FILTER (age < 30), 0) AS bets_30d
    FROM recent_state
    JOIN decay USING (age)
    WHERE bets > 0
    GROUP BY user_id
),
titles AS (
    SELECT user_id, count(DISTINCT game_id) AS games
    FROM (SELECT user_id, unnest(game_ids) AS game_id FROM recent_state WHERE age < 30)
    GROUP BY user_id
)
SELECT
    user_id,
    CASE
        WHEN top = 0 THEN NULL
        WHEN cassino = top THEN 'cassino'
        WHEN crash = top THEN 'crash'
        WHEN esportes = top THEN 'esportes'
        WHEN poker = top THEN 'poker'
        WHEN slots = top THEN 'slots'
    END AS favorite_game_type,
    CASE WHEN top > 0 THEN real6(top / (cassino + crash + esportes + poker + slots)) END AS favorite_game_share,
    CASE WHEN stake > 0 THEN real6(stake_cassino / stake) END AS share_cassino,
    CASE WHEN stake > 0 THEN real6(stake_crash / stake) END AS share_crash,
    CASE WHEN stake > 0 THEN real6(stake_esportes / stake) END AS share_esportes,
    CASE WHEN stake > 0 THEN real6(stake_poker / stake) END AS share_poker,
    CASE WHEN stake > 0 THEN real6(stake_slots / stake) END AS share_slots,
    normalised_entropy(bets_by_game, 5) AS game_entropy,
    real6(game_entropy) AS game_diversity_score,
    len(list_filter(coalesce(bets_by_game, []), lambda bets: bets > 0))::INTEGER AS product_breadth_90d,
    -- If no bet names its game, the number of games is unknown and not zero.
    CASE WHEN coalesce(bets_30d, 0) = 0 THEN 0 ELSE games END::INTEGER AS distinct_games_30d
FROM users
LEFT JOIN sums USING (user_id)
LEFT JOIN titles USING (user_id)
