-- Players of whom a message may say that they have excluded themselves, and cannot be read.
CREATE TABLE {table} (user_id VARCHAR, _day DATE, _source_key VARCHAR, instant TIMESTAMP)
