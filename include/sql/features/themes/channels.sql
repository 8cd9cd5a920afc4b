-- The channels on which a player answers. Messages count by the time of sending; opens and clicks count if they
-- happened before as_of.
WITH sent AS (
    SELECT
        user_id,
        unnest(['email', 'phone', 'push', 'sms', 'telegram', 'whatsapp']) AS channel,
        unnest([sum(sent_email), sum(sent_phone), sum(sent_push), sum(sent_sms), sum(sent_telegram), sum(sent_whatsapp)]) AS messages
    FROM recent_messages
    GROUP BY user_id
),
engagements AS (
    SELECT user_id, age, unnest(engagements) AS message
    FROM recent_messages
),
answers AS (
    SELECT
        user_id,
        message.channel AS channel,
        count(*) FILTER (message.clicked_at < getvariable('as_of')) AS clicks,
        count(*) FILTER (
            age < 90
            AND (message.opened_at < getvariable('as_of') OR message.clicked_at < getvariable('as_of'))
        ) AS answered_90d
    FROM engagements
    GROUP BY ALL
),
rates AS (
    SELECT user_id, channel, (coalesce(clicks, 0) + 1) / (messages + 20) AS rate
    FROM sent
    JOIN users USING (user_id)
    LEFT JOIN answers USING (user_id, channel)
    WHERE messages > 0 AND list_contains(canais_permitidos, channel)
),
best AS (
    SELECT user_id, first(channel ORDER BY rate DESC, channel) AS channel, max(rate) AS rate
    FROM rates
    GROUP BY user_id
),
variety AS (
    SELECT user_id, normalised_entropy(list(answered_90d ORDER BY channel), 6) AS channel_entropy
    FROM answers
    GROUP BY user_id
)
SELECT
    user_id,
    best.channel AS canal_comunicacao_preferido,
    real6(best.rate) AS canal_engagement_rate,
    channel_entropy
FROM users
LEFT JOIN best USING (user_id)
LEFT JOIN variety USING (user_id)
