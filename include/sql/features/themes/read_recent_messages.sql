-- Messages of the last 180 days, by player and day. No window of a feature is longer.
SELECT
    user_id,
    date_diff('day', _day, getvariable('last_day'))::INTEGER AS age,
    sent_email,
    sent_phone,
    sent_push,
    sent_sms,
    sent_telegram,
    sent_whatsapp,
    engagements
FROM {source}
WHERE _day > getvariable('last_day') - INTERVAL 180 DAYS
    AND sent_email + sent_phone + sent_push + sent_sms + sent_telegram + sent_whatsapp > 0
