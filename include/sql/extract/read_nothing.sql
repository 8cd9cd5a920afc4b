-- No rows, with the columns that every reading has.
SELECT NULL::BIGINT AS _row, NULL::VARCHAR AS _reject, {values} WHERE false
