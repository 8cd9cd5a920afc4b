-- The daily state of players out of its parts.
SELECT
    user_id,
    _day,
    sum(bets)::INTEGER AS bets,
    sum(wins)::INTEGER AS wins,
    sum(stake_sum)::DECIMAL(18, 4) AS stake_sum,
    sum(settled_stake_sum)::DECIMAL(18, 4) AS settled_stake_sum,
    sum(payout_sum)::DECIMAL(22, 4) AS payout_sum,
    sum(deposits)::INTEGER AS deposits,
    sum(deposit_sum)::DECIMAL(18, 2) AS deposit_sum,
    sum(withdrawals)::INTEGER AS withdrawals,
    sum(withdrawal_sum)::DECIMAL(18, 2) AS withdrawal_sum,
    sum(failed_deposits)::INTEGER AS failed_deposits,
    flatten(list(deposited_at) FILTER (deposited_at IS NOT NULL)) AS deposited_at,
    flatten(list(exclusions) FILTER (exclusions IS NOT NULL)) AS exclusions
FROM ({parts})
GROUP BY user_id, _day
