-- From now on the publication counts: the next one says what has changed since.
INSERT INTO {table} (
    publication, audience, purpose, definition, as_of, execution_id, baseline, members, entered, leavers, excluded, files,
    published_at, message
)
VALUES (
    %(publication)s, %(audience)s, %(purpose)s, %(definition)s, %(as_of)s, %(execution_id)s, %(baseline)s, %(members)s,
    %(entered)s, %(left)s, %(excluded)s::jsonb, %(files)s::jsonb, %(published_at)s, %(message)s
)
