-- An audience as the server has written it, in the types of the contract. Only a quoted text may be empty.
SELECT * FROM read_csv(
    {file}, header = false, auto_detect = false, nullstr = '', allow_quoted_nulls = false, quote = '"', escape = '"',
    delim = ',', columns = {columns}
)
ORDER BY user_id
