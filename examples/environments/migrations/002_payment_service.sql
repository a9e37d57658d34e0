-- A value that each environment has of its own.  Where the environment is not
-- set, or is another one, CASE gives NULL and the NOT NULL constraint stops
-- the whole run.

-- Up Migration
INSERT INTO settings (name, value)
VALUES ('payment service',
        CASE migrate.environment()
             WHEN 'development' THEN 'http://localhost:8080/pretend-to-pay'
             WHEN 'staging' THEN 'https://sandbox.payments.example/v1'
             WHEN 'production' THEN 'https://payments.example/v1'
        END);

-- Down Migration
DELETE FROM settings WHERE name = 'payment service';
