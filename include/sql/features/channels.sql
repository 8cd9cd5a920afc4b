-- Which channels a player answers on: messages opened or clicked before as_of, by when they were sent.
WITH messages AS (
    SELECT user_id, unnest(engagements) AS message
    FROM state
    WHERE age < 90
),
answered AS (
    SELECT user_id, message.channel AS channel, count(*) AS messages
    FROM messages
    WHERE message.opened_at < getvariable('as_of') OR message.clicked_at < getvariable('as_of')
    GROUP BY ALL
)
SELECT user_id, normalised_entropy(list(messages ORDER BY channel), 6) AS channel_entropy
FROM answered
GROUP BY user_id
