-- The feature table of the run: one row a player, every theme joined, hashed and signed.
WITH features AS (
    SELECT
        users.user_id,
        games.favorite_game_type,
        games.game_diversity_score,
        stakes.bet_volatility,
        real6(coalesce(money.transactions_per_day, 0)) AS frequencia_jogo,
        coalesce(visits.sessions_30d, 0) AS sessions_30d,
        visits.session_minutes_avg_30d,
        visits.session_minutes_max_30d,
        hours.dias_semana_preferidos,
        hours.horarios_atividade,
        hours.weekend_activity_ratio,
        rhythm.activity_regularity,
        coalesce(money.total_transactions, 0) AS total_transactions,
        money.balance_ratio,
        money.ticket_medio_categoria,
        rfm.recency_score,
        rfm.frequency_score,
        rfm.monetary_score,
        coalesce(rfm.rfm_segment, 'prospect') AS rfm_segment,
        value.customer_lifetime_value_score,
        churn.churn_risk_score,
        real6(
            list_avg([games.game_entropy, hours.weekday_entropy, hours.slot_entropy, channels.channel_entropy])
        ) AS behavioral_diversity_score
    FROM users
    LEFT JOIN games USING (user_id)
    LEFT JOIN stakes USING (user_id)
    LEFT JOIN hours USING (user_id)
    LEFT JOIN rhythm USING (user_id)
    LEFT JOIN visits USING (user_id)
    LEFT JOIN money USING (user_id)
    LEFT JOIN rfm USING (user_id)
    LEFT JOIN value USING (user_id)
    LEFT JOIN churn USING (user_id)
    LEFT JOIN channels USING (user_id)
)
SELECT
    {columns},
    timezone('UTC', getvariable('as_of')) AS as_of,
    timezone('UTC', getvariable('known_at')) AS known_at,
    getvariable('feature_set_version') AS feature_set_version,
    getvariable('execution_id') AS execution_id,
    md5(to_json(struct_pack({hashed}))::VARCHAR) AS row_hash
FROM features
ORDER BY user_id
