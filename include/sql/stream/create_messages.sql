-- The messages of one topic, as they were written into a file of text. A value is quoted by chr(1), which no JSON has.
CREATE OR REPLACE TEMPORARY TABLE messages AS
SELECT number, "partition", "offset", make_timestamp_ms(written) AS written, nullif(fault, '') AS fault, value
FROM read_csv(
    {url},
    columns = {{
        'number': 'BIGINT', 'partition': 'INTEGER', 'offset': 'BIGINT', 'written': 'BIGINT', 'fault': 'VARCHAR', 'value': 'VARCHAR'
    }},
    auto_detect = false, header = false, delim = chr(2), quote = chr(1), escape = chr(1), new_line = '\n',
    max_line_size = {longest}, parallel = false
)
