-- Daily state: one row per player and operator day, with all that any feature of that day needs. Sums are exact; hours
-- are the operator's, since a player's zone may change. A message stays on the day it was sent: whether it had been
-- opened by some as_of can be told from its times.
WITH bet_days AS (
    SELECT
        user_id,
        _day,
        count(*)::INTEGER AS bets,
        sum(stake)::DECIMAL(18, 4) AS stake_sum,
        -- Wider than a stake: the square of 100,000 does not fit in DECIMAL(18, 4) times itself.
        sum(stake::DECIMAL(19, 4) * stake::DECIMAL(19, 4))::DECIMAL(38, 8) AS stake_square_sum,
        count(*) FILTER (game_type = 'cassino')::INTEGER AS bets_cassino,
        count(*) FILTER (game_type = 'crash')::INTEGER AS bets_crash,
        count(*) FILTER (game_type = 'esportes')::INTEGER AS bets_esportes,
        count(*) FILTER (game_type = 'poker')::INTEGER AS bets_poker,
        count(*) FILTER (game_type = 'slots')::INTEGER AS bets_slots,
        coalesce(sum(stake) FILTER (game_type = 'cassino'), 0)::DECIMAL(18, 4) AS stake_cassino,
        coalesce(sum(stake) FILTER (game_type = 'crash'), 0)::DECIMAL(18, 4) AS stake_crash,
        coalesce(sum(stake) FILTER (game_type = 'esportes'), 0)::DECIMAL(18, 4) AS stake_esportes,
        coalesce(sum(stake) FILTER (game_type = 'poker'), 0)::DECIMAL(18, 4) AS stake_poker,
        coalesce(sum(stake) FILTER (game_type = 'slots'), 0)::DECIMAL(18, 4) AS stake_slots,
        count(*) FILTER (hour = 0)::INTEGER AS hour_00,
        count(*) FILTER (hour = 1)::INTEGER AS hour_01,
        count(*) FILTER (hour = 2)::INTEGER AS hour_02,
        count(*) FILTER (hour = 3)::INTEGER AS hour_03,
        count(*) FILTER (hour = 4)::INTEGER AS hour_04,
        count(*) FILTER (hour = 5)::INTEGER AS hour_05,
        count(*) FILTER (hour = 6)::INTEGER AS hour_06,
        count(*) FILTER (hour = 7)::INTEGER AS hour_07,
        count(*) FILTER (hour = 8)::INTEGER AS hour_08,
        count(*) FILTER (hour = 9)::INTEGER AS hour_09,
        count(*) FILTER (hour = 10)::INTEGER AS hour_10,
        count(*) FILTER (hour = 11)::INTEGER AS hour_11,
        count(*) FILTER (hour = 12)::INTEGER AS hour_12,
        count(*) FILTER (hour = 13)::INTEGER AS hour_13,
        count(*) FILTER (hour = 14)::INTEGER AS hour_14,
        count(*) FILTER (hour = 15)::INTEGER AS hour_15,
        count(*) FILTER (hour = 16)::INTEGER AS hour_16,
        count(*) FILTER (hour = 17)::INTEGER AS hour_17,
        count(*) FILTER (hour = 18)::INTEGER AS hour_18,
        count(*) FILTER (hour = 19)::INTEGER AS hour_19,
        count(*) FILTER (hour = 20)::INTEGER AS hour_20,
        count(*) FILTER (hour = 21)::INTEGER AS hour_21,
        count(*) FILTER (hour = 22)::INTEGER AS hour_22,
        count(*) FILTER (hour = 23)::INTEGER AS hour_23
    FROM (SELECT *, hour(local_time(placed_at, getvariable('operator_zone'))) AS hour FROM bets)
    GROUP BY user_id, _day
),
transaction_days AS (
    SELECT
        user_id,
        _day,
        count(*)::INTEGER AS transactions,
        count(*) FILTER (status = 'completed')::INTEGER AS completed,
        count(*) FILTER (status = 'completed' AND transaction_type = 'deposit')::INTEGER AS deposits,
        count(*) FILTER (status = 'completed' AND transaction_type = 'withdrawal')::INTEGER AS withdrawals,
        coalesce(sum(amount) FILTER (status = 'completed' AND transaction_type = 'deposit'), 0)::DECIMAL(18, 2)
            AS deposit_sum,
        coalesce(sum(amount) FILTER (status = 'completed' AND transaction_type = 'withdrawal'), 0)::DECIMAL(18, 2)
            AS withdrawal_sum
    FROM transactions
    GROUP BY user_id, _day
),
message_days AS (
    SELECT
        user_id,
        _day,
        list({'channel': channel, 'opened_at': opened_at, 'clicked_at': clicked_at} ORDER BY message_id) AS engagements
    FROM communications
    WHERE opened_at IS NOT NULL OR clicked_at IS NOT NULL
    GROUP BY user_id, _day
)
SELECT
    user_id,
    _day,
    coalesce(bets, 0) AS bets,
    coalesce(stake_sum, 0) AS stake_sum,
    coalesce(stake_square_sum, 0) AS stake_square_sum,
    coalesce(bets_cassino, 0) AS bets_cassino,
    coalesce(bets_crash, 0) AS bets_crash,
    coalesce(bets_esportes, 0) AS bets_esportes,
    coalesce(bets_poker, 0) AS bets_poker,
    coalesce(bets_slots, 0) AS bets_slots,
    coalesce(stake_cassino, 0) AS stake_cassino,
    coalesce(stake_crash, 0) AS stake_crash,
    coalesce(stake_esportes, 0) AS stake_esportes,
    coalesce(stake_poker, 0) AS stake_poker,
    coalesce(stake_slots, 0) AS stake_slots,
    coalesce(hour_00, 0) AS hour_00,
    coalesce(hour_01, 0) AS hour_01,
    coalesce(hour_02, 0) AS hour_02,
    coalesce(hour_03, 0) AS hour_03,
    coalesce(hour_04, 0) AS hour_04,
    coalesce(hour_05, 0) AS hour_05,
    coalesce(hour_06, 0) AS hour_06,
    coalesce(hour_07, 0) AS hour_07,
    coalesce(hour_08, 0) AS hour_08,
    coalesce(hour_09, 0) AS hour_09,
    coalesce(hour_10, 0) AS hour_10,
    coalesce(hour_11, 0) AS hour_11,
    coalesce(hour_12, 0) AS hour_12,
    coalesce(hour_13, 0) AS hour_13,
    coalesce(hour_14, 0) AS hour_14,
    coalesce(hour_15, 0) AS hour_15,
    coalesce(hour_16, 0) AS hour_16,
    coalesce(hour_17, 0) AS hour_17,
    coalesce(hour_18, 0) AS hour_18,
    coalesce(hour_19, 0) AS hour_19,
    coalesce(hour_20, 0) AS hour_20,
    coalesce(hour_21, 0) AS hour_21,
    coalesce(hour_22, 0) AS hour_22,
    coalesce(hour_23, 0) AS hour_23,
    coalesce(transactions, 0) AS transactions,
    coalesce(completed, 0) AS completed,
    coalesce(deposits, 0) AS deposits,
    coalesce(withdrawals, 0) AS withdrawals,
    coalesce(deposit_sum, 0) AS deposit_sum,
    coalesce(withdrawal_sum, 0) AS withdrawal_sum,
    engagements
FROM bet_days
FULL JOIN transaction_days USING (user_id, _day)
FULL JOIN message_days USING (user_id, _day)
ORDER BY _day, user_id
