SELECT count(*)
FROM (
    {edited}
) AS edited
