-- A thousand players whose features vary as real ones do and contradict each other nowhere; `row` numbers them.
CREATE OR REPLACE MACRO luck(n, what) AS ((hash(n, what) % 1000003) / 1000003.0)::DOUBLE;
CREATE OR REPLACE MACRO tail(n, what, usual) AS exp(ln(usual) + 1.8 * (luck(n, what) + luck(n, what || '2') + luck(n, what || '3') - 1.5));
CREATE OR REPLACE TABLE features AS
WITH players AS (
    SELECT
        i::INTEGER AS row,
        luck(i, 'pays') > 0.2 AS pays,
        luck(i, 'plays') > 0.1 AS plays,
        luck(i, 'visits') > 0.1 AS visits
    FROM range(1000) _(i)
),
drawn AS (
    SELECT
        *,
        if(pays, 1 + (luck(row, 'r') * 4)::INTEGER % 4, NULL)::SMALLINT AS r,
        if(pays, 1 + (luck(row, 'f') * 4)::INTEGER % 4, NULL)::SMALLINT AS f,
        if(pays, 1 + (luck(row, 'm') * 4)::INTEGER % 4, NULL)::SMALLINT AS m,
        if(pays, round(tail(row, 'ticket', 90), 2), NULL)::DECIMAL(14, 2) AS ticket,
        if(plays, 1 + (luck(row, 'bets') * 60)::INTEGER, 0) AS bets,
        round(tail(row, 'stake', 15), 2) AS stake,
        if(pays, (luck(row, 'deposits') * 9)::INTEGER, 0) AS deposits,
        if(pays AND luck(row, 'withdraws') > 0.4, 1 + (luck(row, 'withdrawals') * 3)::INTEGER, 0) AS withdrawals,
        ['active', 'past', 'none', 'none', 'none', 'none'][1 + (luck(row, 'excluded') * 6)::INTEGER % 6] AS exclusion,
        ['low', 'low', 'medium', 'high'][1 + (luck(row, 'risk') * 4)::INTEGER % 4] AS risk,
        luck(row, 'barred') < 0.05 AS barred,
        [['email'], ['email', 'sms'], ['push', 'sms'], []][1 + (luck(row, 'channels') * 4)::INTEGER % 4]::VARCHAR[] AS channels,
        luck(row, 'a') AS a, luck(row, 'b') AS b, luck(row, 'c') AS c, luck(row, 'd') AS d
    FROM players
),
summed AS (
    SELECT
        *,
        (bets * stake)::DECIMAL(14, 2) AS staked,
        (bets * stake * (luck(row, 'ggr') - 0.4))::DECIMAL(14, 2) AS ggr,
        (deposits * coalesce(ticket, 0))::DECIMAL(14, 2) AS deposited,
        (withdrawals * round(tail(row, 'withdrawal', 120), 2))::DECIMAL(14, 2) AS withdrawn,
        a + b + c + d + 0.2 AS total
    FROM drawn
)
SELECT
    row,
    'u' || row AS user_id,
    if(plays, ['crash', 'cassino', 'esportes', 'poker', 'slots'][1 + (luck(row, 'game') * 5)::INTEGER % 5], NULL) AS favorite_game_type,
    if(plays, luck(row, 'diversity'), NULL) AS game_diversity_score,
    if(plays, tail(row, 'volatility', 0.8), NULL) AS bet_volatility,
    if(pays, tail(row, 'frequency', 0.3), 0) AS frequencia_jogo,
    if(visits, 1 + (luck(row, 'sessions') * 40)::INTEGER, 0)::INTEGER AS sessions_30d,
    if(visits, tail(row, 'minutes', 12), NULL) AS session_minutes_avg_30d,
    if(visits, tail(row, 'minutes', 12) * (1 + 4 * luck(row, 'longest')), NULL) AS session_minutes_max_30d,
    if(plays, ['0,1,2', '0,4,5', '1', '2,6', '3,4,6'][1 + (luck(row, 'weekdays') * 5)::INTEGER % 5], NULL) AS dias_semana_preferidos,
    if(plays, ['madrugada', 'manha', 'tarde', 'noite'][1 + (luck(row, 'slot') * 4)::INTEGER % 4], NULL) AS horarios_atividade,
    if(plays, luck(row, 'weekend'), NULL) AS weekend_activity_ratio,
    if(plays, luck(row, 'regular'), NULL) AS activity_regularity,
    if(pays, 1 + (luck(row, 'transactions') * 80)::INTEGER, 0)::INTEGER AS total_transactions,
    if(pays, round(1 + 9 * luck(row, 'balance'), 6), NULL)::DOUBLE AS balance_ratio,
    CASE WHEN ticket < 50 THEN 'baixo' WHEN ticket < 500 THEN 'medio' WHEN ticket >= 500 THEN 'alto' END AS ticket_medio_categoria,
    r AS recency_score,
    f AS frequency_score,
    m AS monetary_score,
    coalesce(
        MAP {
            44: 'champions', 43: 'loyal', 34: 'loyal', 33: 'loyal', 42: 'potential_loyalist', 32: 'potential_loyalist',
            41: 'new_customers', 31: 'promising', 24: 'at_risk', 13: 'at_risk', 23: 'need_attention',
            22: 'about_to_sleep', 21: 'about_to_sleep', 14: 'cant_lose_them', 12: 'hibernating', 11: 'lost'
        }[10 * r + floor((f + m) / 2.0 + 0.5)::INTEGER],
        'prospect'
    ) AS rfm_segment,
    luck(row, 'value') AS customer_lifetime_value_score,
    luck(row, 'churn') AS churn_risk_score,
    luck(row, 'behaviour') AS behavioral_diversity_score,
    TIMESTAMPTZ '2026-11-22 03:00:00+00' AS as_of,
    TIMESTAMPTZ '2026-11-22 05:00:00+00' AS known_at,
    '1' AS feature_set_version,
    'manual__2026-11-22' AS execution_id,
    md5(row::VARCHAR) AS row_hash,
    if(plays, a / total, NULL)::DOUBLE AS share_crash,
    if(plays, b / total, NULL)::DOUBLE AS share_cassino,
    if(plays, c / total, NULL)::DOUBLE AS share_esportes,
    if(plays, d / total, NULL)::DOUBLE AS share_poker,
    if(plays, 0.2 / total, NULL)::DOUBLE AS share_slots,
    if(plays, 0.3 + 0.7 * luck(row, 'favourite'), NULL)::DOUBLE AS favorite_game_share,
    bets::INTEGER AS bets_count_30d,
    (bets + if(plays, (luck(row, 'older') * 300)::INTEGER, 0))::INTEGER AS bets_count_lifetime,
    staked AS bet_sum_30d,
    if(bets > 0, stake, NULL)::DECIMAL(14, 2) AS bet_avg_30d,
    ggr AS ggr_30d,
    (tail(row, 'lost', 300) * (luck(row, 'life') - 0.4))::DECIMAL(14, 2) AS ggr_lifetime,
    (luck(row, 'days') * luck(row, 'week') * 7)::INTEGER AS active_days_7d,
    ((luck(row, 'days') * luck(row, 'week') * 7)::INTEGER + (luck(row, 'month') * 20)::INTEGER)::INTEGER AS active_days_30d,
    ((luck(row, 'days') * luck(row, 'week') * 7)::INTEGER + (luck(row, 'month') * 20)::INTEGER + (luck(row, 'quarter') * 50)::INTEGER)::INTEGER AS active_days_90d,
    deposits::INTEGER AS deposit_count_30d,
    withdrawals::INTEGER AS withdrawal_count_30d,
    deposited AS deposit_sum_30d,
    withdrawn AS withdrawal_sum_30d,
    (deposited - withdrawn)::DECIMAL(14, 2) AS net_deposit_30d,
    (tail(row, 'brought', 300) + abs(ggr))::DECIMAL(14, 2) AS net_deposit_lifetime,
    (len(channels) > 0 AND exclusion <> 'active' AND NOT barred AND risk <> 'high') AS marketing_allowed,
    channels AS canais_permitidos,
    channels[1] AS canal_comunicacao_preferido,
    exclusion AS rg_self_exclusion_status,
    barred AS rg_prohibited_flag,
    MAP {'low': 0.1, 'medium': 0.3, 'high': 0.6}[risk] + 0.1 * luck(row, 'marker') AS rg_risk_score,
    risk AS rg_risk_band,
    (r::VARCHAR || f || m) AS rfm_code,
    ticket AS ticket_medio,
    (luck(row, 'idle') * 60)::INTEGER AS days_since_last_activity,
    if(pays, (luck(row, 'idle') * 60)::INTEGER + (luck(row, 'last_deposit') * 30)::INTEGER, NULL)::INTEGER AS days_since_last_deposit
FROM summed
