-- The themes of some players in one row for each: a theme is a struct of its columns, as `restore_theme` reads it.
SELECT
    user_id,
    {themes}
FROM users AS kept_users
{joins}
ORDER BY user_id
