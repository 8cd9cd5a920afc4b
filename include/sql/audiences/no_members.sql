-- What was handed over before the first time.
(SELECT NULL::VARCHAR AS user_id WHERE false)
