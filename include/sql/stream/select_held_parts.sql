SELECT *
FROM {table}
WHERE _day >= {first}
