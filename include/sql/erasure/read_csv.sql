-- A file of an audience as texts. Only a quoted text may be empty.
read_csv(
    {file}, header = true, all_varchar = true, nullstr = '', allow_quoted_nulls = false, quote = '"', escape = '"', delim = ','
)
