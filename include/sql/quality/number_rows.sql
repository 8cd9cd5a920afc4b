-- Rows of a DataFrame in the form of a capture: as text, with numbers and a day.
SELECT {columns}, row_number() OVER () AS _row, NULL::VARCHAR AS _reject, 'dataframe' AS _source_key, DATE '2001-01-01' AS _day
FROM frame
