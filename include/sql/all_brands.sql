-- A view over the feature tables of several brands, for whoever may see all of them: head office, and nobody of one brand.
--
--     psql "$ADMIN_URL" --set schemas="ml_features ml_features_aurora" --file include/sql/all_brands.sql
--
-- It makes the schema crmbet_all_brands with the view user_features: the brand, and the columns that the readers of every
-- one of these brands may read, so none that begins with rg_. Run it again after a brand is added or a release has added
-- columns. Two roles:
--
-- crmbet_all_brands           owns the view and reads the tables behind it, as a member of each brand's readers. Nobody logs in
--                             as it, and nobody should be a member
-- crmbet_all_brands_reader    reads the view and nothing else
--
-- Roles of a brand get no right here, and these two get none in a brand's schema but by that membership.

\set ON_ERROR_STOP on

BEGIN;

SET LOCAL search_path = pg_catalog, pg_temp;
-- A DO block sees no variable of psql.
SET LOCAL crmbet.schemas = :'schemas';

DO $$
DECLARE
    schemas CONSTANT text[] := regexp_split_to_array(btrim(current_setting('crmbet.schemas')), '\s+');
    readers text[];
    missing text;
    role_name text;
BEGIN
    SELECT string_agg(named, ', ') INTO missing
    FROM unnest(schemas) AS named
    WHERE to_regclass(format('%I.user_features', named)) IS NULL;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'there is no feature table in %, so nothing was changed', missing
        USING HINT = 'Name schemas of brands whose first run has loaded, with blanks between.';
    END IF;
    -- As plugins/crmbet/run/schemas.py has it.
    SELECT array_agg(
        'crmbet_reader' || CASE WHEN named = 'ml_features' THEN '' ELSE '_' || regexp_replace(named, '^ml_features_', '') END
    ) INTO readers
    FROM unnest(schemas) AS named;
    FOREACH role_name IN ARRAY ARRAY['crmbet_all_brands', 'crmbet_all_brands_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
    FOREACH role_name IN ARRAY readers LOOP
        EXECUTE format('GRANT %I TO crmbet_all_brands', role_name);
    END LOOP;
END
$$;

-- Where the administrator is no superuser, it has to be a member of the role that is to own the view.
GRANT crmbet_all_brands TO CURRENT_USER;
CREATE SCHEMA IF NOT EXISTS crmbet_all_brands AUTHORIZATION crmbet_all_brands;

SET LOCAL ROLE crmbet_all_brands;
DROP VIEW IF EXISTS crmbet_all_brands.user_features;

DO $$
DECLARE
    schemas CONSTANT text[] := regexp_split_to_array(btrim(current_setting('crmbet.schemas')), '\s+');
    shared text;
    selected text;
BEGIN
    -- In the order of the first table. A column that a brand does not have yet, or that readers may not read, is left out.
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO shared
    FROM pg_attribute
    WHERE attrelid = format('%I.user_features', schemas[1])::regclass AND attnum > 0 AND NOT attisdropped
      AND NOT EXISTS (
          SELECT FROM unnest(schemas) AS named
          WHERE NOT EXISTS (
              SELECT FROM pg_attribute AS other
              WHERE other.attrelid = format('%I.user_features', named)::regclass
                AND other.attname = pg_attribute.attname AND NOT other.attisdropped
                AND has_column_privilege('crmbet_all_brands', other.attrelid, other.attnum, 'SELECT')
          )
      )
      AND NOT starts_with(attname, 'rg_');
    SELECT string_agg(
        format(
            'SELECT %L::text AS brand, %s FROM %I.user_features',
            CASE WHEN named = 'ml_features' THEN 'default' ELSE regexp_replace(named, '^ml_features_', '') END, shared, named
        ),
        ' UNION ALL '
    ) INTO selected
    FROM unnest(schemas) AS named;
    EXECUTE 'CREATE VIEW crmbet_all_brands.user_features AS ' || selected;
END
$$;

COMMENT ON VIEW crmbet_all_brands.user_features IS 'The feature tables of all brands, without columns about responsible gambling.';
GRANT USAGE ON SCHEMA crmbet_all_brands TO crmbet_all_brands_reader;
GRANT SELECT ON crmbet_all_brands.user_features TO crmbet_all_brands_reader;

COMMIT;
