-- updated_at was up to the application, which forgot it now and then.
CREATE FUNCTION touch_updated_at() RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    -- the time of the change; now() would be that of the transaction's start
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END;
$function$;

COMMENT ON FUNCTION touch_updated_at() IS 'keeps updated_at; for BEFORE UPDATE triggers';

DO $do$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['organizations', 'users', 'partners', 'opportunities']
    LOOP
        EXECUTE format($trigger$
            CREATE TRIGGER touch_updated_at
                BEFORE UPDATE ON %I
                FOR EACH ROW
                WHEN (OLD.* IS DISTINCT FROM NEW.*)
                EXECUTE FUNCTION touch_updated_at()
        $trigger$, name);
    END LOOP;
END;
$do$;
