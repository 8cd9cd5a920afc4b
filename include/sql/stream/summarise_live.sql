-- One row for each of some players and days, as of all that the stream has said so far. Counts and sums are those of daily
-- state, and sessions those that are derived from bets, both by the statements of the batch. The session of a day is the
-- last one with a bet on it, as a whole: it may have begun before midnight, or go on after it.
WITH play AS (
    SELECT _day AS day, *
    FROM live_sessions
    UNION ALL
    SELECT operator_time(ended_at)::DATE AS day, *
    FROM live_sessions
    WHERE operator_time(ended_at)::DATE > _day
),
-- No two sessions of a player start at one time.
play_days AS (
    SELECT
        user_id,
        day,
        max(started_at) AS started_at,
        max_by(
            {{'ended_at': ended_at, 'bets': bets, 'stake_sum': stake_sum, 'net': payout_sum - settled_stake_sum}}, started_at
        ) AS newest,
        max(greatest(settled_stake_sum - payout_sum, 0)) AS largest_loss
    FROM play
    SEMI JOIN changed USING (user_id, day)
    GROUP BY user_id, day
),
deposits AS (
    SELECT play_days.user_id, play_days.day, count(*)::INTEGER AS deposits
    FROM play_days
    JOIN (SELECT user_id, unnest(deposited_at) AS deposited_at FROM live_state) AS made
        ON made.user_id = play_days.user_id
        AND made.deposited_at BETWEEN play_days.started_at AND play_days.newest.ended_at
    GROUP BY ALL
),
happened AS (
    SELECT user_id, _day AS day, max(last_event_at) AS last_event_at, list_sort(list(last_place)) AS positions
    FROM live_events
    GROUP BY ALL
),
exclusions AS (
    SELECT
        user_id,
        _day AS day,
        last(exclusion.new_days ORDER BY exclusion.changed_at) > 0 AS is_excluded
    FROM (SELECT user_id, _day, unnest(exclusions) AS exclusion FROM live_state WHERE exclusions IS NOT NULL)
    GROUP BY ALL
),
unreadable AS (
    SELECT DISTINCT user_id, _day AS day FROM {unreadable}
),
measured AS (
    SELECT
        happened.user_id,
        happened.day,
        coalesce(live_state.bets, 0)::INTEGER AS bets,
        coalesce(live_state.wins, 0)::INTEGER AS wins,
        coalesce(live_state.stake_sum, 0)::DECIMAL(18, 4) AS stake_sum,
        coalesce(live_state.settled_stake_sum - live_state.payout_sum, 0)::DECIMAL(18, 4) AS ggr,
        coalesce(live_state.deposits, 0)::INTEGER AS deposits,
        coalesce(live_state.deposit_sum, 0)::DECIMAL(18, 2) AS deposit_sum,
        coalesce(live_state.withdrawals, 0)::INTEGER AS withdrawals,
        coalesce(live_state.withdrawal_sum, 0)::DECIMAL(18, 2) AS withdrawal_sum,
        coalesce(live_state.failed_deposits, 0)::INTEGER AS declined_deposits,
        play_days.started_at AS session_started_at,
        play_days.newest.ended_at AS session_last_bet_at,
        play_days.newest.bets AS session_bets,
        play_days.newest.stake_sum AS session_stake_sum,
        play_days.newest.net AS session_net,
        CASE WHEN play_days.started_at IS NOT NULL THEN coalesce(deposits.deposits, 0) END AS session_deposits,
        coalesce(play_days.largest_loss, 0) AS largest_session_loss,
        coalesce(exclusions.is_excluded, false) AS is_excluded,
        unreadable.day IS NOT NULL AS may_be_excluded,
        happened.last_event_at,
        happened.positions
    FROM changed
    JOIN happened USING (user_id, day)
    LEFT JOIN (SELECT * RENAME (_day AS day) FROM live_state) AS live_state USING (user_id, day)
    LEFT JOIN play_days USING (user_id, day)
    LEFT JOIN deposits USING (user_id, day)
    LEFT JOIN exclusions USING (user_id, day)
    LEFT JOIN unreadable USING (user_id, day)
)
SELECT
    user_id,
    day,
    bets,
    wins,
    stake_sum,
    ggr,
    deposits,
    deposit_sum,
    withdrawals,
    withdrawal_sum,
    declined_deposits,
    session_started_at,
    session_last_bet_at,
    session_bets,
    session_stake_sum,
    session_net::DECIMAL(18, 4) AS session_net,
    session_deposits::INTEGER AS session_deposits,
    largest_session_loss::DECIMAL(18, 4) AS largest_session_loss,
    NOT (is_excluded OR may_be_excluded) AS marketing_allowed,
    list_sort(
        list_filter(
            [
                CASE WHEN session_last_bet_at - session_started_at >= to_minutes({long_session_minutes}) THEN 'long_session' END,
                CASE WHEN session_deposits >= {session_deposits} THEN 'deposits_in_session' END,
                CASE WHEN ggr > 0 AND ggr >= loss_cut_off.value THEN 'daily_loss' END,
                CASE WHEN is_excluded THEN 'self_exclusion' END,
                CASE WHEN may_be_excluded THEN 'unreadable_exclusion' END
            ],
            lambda reason: reason IS NOT NULL
        )
    ) AS rg_live_markers,
    last_event_at,
    positions
FROM measured
LEFT JOIN (VALUES {loss_cut_offs}) AS loss_cut_off(day, value) USING (day)
