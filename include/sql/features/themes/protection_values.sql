-- Every marker of every player as a number, with the marker's name.
SELECT
    user_id,
    unnest([
        {'marker': 'cancelled_withdrawals', 'value': rg_cancelled_withdrawals_30d::DOUBLE},
        {'marker': 'declined_deposits', 'value': rg_declined_deposits_30d::DOUBLE},
        {'marker': 'depletion_rate', 'value': rg_depletion_rate_30d},
        {'marker': 'deposits_per_session', 'value': rg_deposits_per_session_30d},
        {'marker': 'frequency', 'value': rg_frequency_30d},
        {'marker': 'intensity', 'value': rg_intensity_30d},
        {'marker': 'limit_increases', 'value': rg_limit_increases_90d::DOUBLE},
        {'marker': 'loss_chasing', 'value': rg_loss_chasing_30d},
        {'marker': 'max_daily_loss', 'value': rg_max_daily_loss_30d::DOUBLE},
        {'marker': 'trajectory', 'value': rg_trajectory_30d},
        {'marker': 'variability', 'value': rg_variability_30d}
    ], recursive := true)
FROM protection_play
JOIN protection_limits USING (user_id)
LEFT JOIN protection_sessions USING (user_id)
