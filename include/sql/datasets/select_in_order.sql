-- Rows of files, day by day. A day lies in one file, so its rows stay in their order.
SELECT * EXCLUDE (file_row_number)
FROM {rows}
ORDER BY _day, file_row_number
