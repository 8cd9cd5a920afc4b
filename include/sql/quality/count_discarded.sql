-- Values of judged rows that were there and became NULL, by day and column. Most days have none.
SELECT _day AS day, {counts}, count(*) AS rows
FROM {rows}
GROUP BY _day
HAVING count(_discarded) > 0
ORDER BY _day
