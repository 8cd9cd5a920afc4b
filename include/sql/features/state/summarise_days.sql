-- Daily state: one row per player and operator day, with all that any feature of that day needs. Sums are exact; hours
-- are the operator's, since a player's zone may change. A message stays on the day it was sent: whether it had been
-- opened by some as_of can be told from its times. A list is NULL where nothing of its kind is known.
WITH bet_days AS (
    SELECT
        user_id,
        _day,
        count(*)::INTEGER AS bets,
        sum(stake)::DECIMAL(18, 4) AS stake_sum,
        -- Wider than a stake: the square of 100,000 does not fit in DECIMAL(18, 4) times itself.
        sum(stake::DECIMAL(19, 4) * stake::DECIMAL(19, 4))::DECIMAL(38, 8) AS stake_square_sum,
        count(payout)::INTEGER AS settled,
        coalesce(sum(stake) FILTER (payout IS NOT NULL), 0)::DECIMAL(18, 4) AS settled_stake_sum,
        coalesce(sum(payout), 0)::DECIMAL(22, 4) AS payout_sum,
        count(*) FILTER (payout > stake)::INTEGER AS wins,
        count(rtp)::INTEGER AS bets_with_rtp,
        -- What the house keeps in the long run. Nine decimals of a rate are more than any provider publishes.
        coalesce(sum(stake::DECIMAL(19, 4) * (1 - rtp)::DECIMAL(10, 9)), 0)::DECIMAL(38, 13) AS theoretical_loss,
        coalesce(sum(stake) FILTER (is_bonus IS NOT NULL), 0)::DECIMAL(18, 4) AS stake_of_known_kind,
        coalesce(sum(stake) FILTER (is_bonus), 0)::DECIMAL(18, 4) AS bonus_stake,
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
        count(*) FILTER (hour = 23)::INTEGER AS hour_23,
        list_sort(list_distinct(list(game_id) FILTER (game_id IS NOT NULL))) AS game_ids,
        -- One entry a bet, in order. Counting the devices and repeating each takes half as long as sorting a long list.
        flatten(
            list_transform(
                list_sort(map_entries(histogram(device_type))),
                lambda device: repeat([device.key], device.value::BIGINT)
            )
        ) AS devices
    FROM (SELECT *, hour(operator_time(placed_at)) AS hour FROM bets)
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
        count(*) FILTER (status = 'completed' AND transaction_type = 'bet')::INTEGER AS bet_transactions,
        count(*) FILTER (status = 'failed' AND transaction_type = 'deposit')::INTEGER AS failed_deposits,
        count(*) FILTER (status = 'cancelled' AND transaction_type = 'withdrawal')::INTEGER AS cancelled_withdrawals,
        coalesce(sum(amount) FILTER (status = 'completed' AND transaction_type = 'deposit'), 0)::DECIMAL(18, 2)
            AS deposit_sum,
        coalesce(sum(amount) FILTER (status = 'completed' AND transaction_type = 'withdrawal'), 0)::DECIMAL(18, 2)
            AS withdrawal_sum,
        list_sort(list(created_at) FILTER (status = 'completed' AND transaction_type = 'deposit')) AS deposited_at
    FROM transactions
    GROUP BY user_id, _day
),
message_days AS (
    SELECT
        user_id,
        _day,
        count(*) FILTER (channel = 'email')::INTEGER AS sent_email,
        count(*) FILTER (channel = 'sms')::INTEGER AS sent_sms,
        count(*) FILTER (channel = 'push')::INTEGER AS sent_push,
        count(*) FILTER (channel = 'whatsapp')::INTEGER AS sent_whatsapp,
        count(*) FILTER (channel = 'telegram')::INTEGER AS sent_telegram,
        count(*) FILTER (channel = 'phone')::INTEGER AS sent_phone,
        list({'channel': channel, 'opened_at': opened_at, 'clicked_at': clicked_at} ORDER BY message_id)
            FILTER (opened_at IS NOT NULL OR clicked_at IS NOT NULL) AS engagements
    FROM communications
    GROUP BY user_id, _day
),
limit_days AS (
    SELECT
        user_id,
        _day,
        count(*)::INTEGER AS limit_changes,
        -- A first limit has no old value, and is no increase.
        count(*) FILTER (kind <> 'self_exclusion' AND (new_value > old_value OR (old_value >= 0 AND new_value IS NULL)))
            ::INTEGER AS limit_increases,
        list({'changed_at': changed_at, 'old_days': old_value, 'new_days': new_value} ORDER BY changed_at, old_value, new_value)
            FILTER (kind = 'self_exclusion') AS exclusions
    FROM limits
    GROUP BY user_id, _day
)
SELECT
    user_id,
    _day,
    coalesce(COLUMNS(* EXCLUDE (user_id, _day, game_ids, devices, deposited_at, engagements, exclusions)), 0),
    game_ids,
    devices,
    deposited_at,
    engagements,
    exclusions
FROM bet_days
FULL JOIN transaction_days USING (user_id, _day)
FULL JOIN message_days USING (user_id, _day)
FULL JOIN limit_days USING (user_id, _day)
ORDER BY _day, user_id
