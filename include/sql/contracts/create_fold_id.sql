-- The form in which ids are compared. Nearly all are ASCII without a blank inside, which the engine folds alone.
CREATE OR REPLACE MACRO fold_id(id) AS
    CASE
        WHEN NOT regexp_full_match(id, '[!-~]*') THEN fold_unicode(id)
        WHEN suffix(id, '0') AND contains(id, '.') THEN regexp_replace(lower(id), '^([-+]?[0-9]+)[.]0+$', '\1')
        ELSE lower(id)
    END
