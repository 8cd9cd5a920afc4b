-- Which games a player plays.
WITH decay AS (
    SELECT age, round(pow(2, -age / 30), 12)::DECIMAL(13, 12) AS weight
    FROM range(90) AS ages(age)
),
sums AS (
    SELECT
        user_id,
        sum(stake_cassino::DECIMAL(22, 4) * weight) AS cassino,
        sum(stake_crash::DECIMAL(22, 4) * weight) AS crash,
        sum(stake_esportes::DECIMAL(22, 4) * weight) AS esportes,
        sum(stake_poker::DECIMAL(22, 4) * weight) AS poker,
        sum(stake_slots::DECIMAL(22, 4) * weight) AS slots,
        greatest(cassino, crash, esportes, poker, slots) AS top,
        [sum(bets_cassino), sum(bets_crash), sum(bets_esportes), sum(bets_poker), sum(bets_slots)] AS bets_by_game
    FROM state
    JOIN decay USING (age)
    WHERE bets > 0
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
        ELSE 'slots'
    END AS favorite_game_type,
    normalised_entropy(bets_by_game, 5) AS game_entropy,
    real6(game_entropy) AS game_diversity_score
FROM sums
