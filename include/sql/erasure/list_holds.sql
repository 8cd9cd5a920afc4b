-- Players on hold on a day, and why.
SELECT user_id, reason
FROM {table}
WHERE stands_until IS NULL OR stands_until >= %(today)s
