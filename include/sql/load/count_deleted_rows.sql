SELECT count(*)
FROM (
    {deleted}
) AS deleted
