-- What a view's comment says; NULL if there is no such view, or no comment.
SELECT obj_description(to_regclass(%(view)s), 'pg_class')
