-- A source without a file: its cleaned columns and no rows.
SELECT {columns}, NULL::DATE AS _day
WHERE false
