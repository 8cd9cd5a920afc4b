-- Players of whom a held row has gone, and the live rows that may have changed.
CREATE TABLE corrected (user_id VARCHAR);
CREATE TABLE touched (user_id VARCHAR, day DATE)
