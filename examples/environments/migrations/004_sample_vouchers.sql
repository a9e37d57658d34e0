-- dbmigrate: environments=development,staging

-- Up Migration
CREATE TABLE sample_vouchers (code text PRIMARY KEY);
INSERT INTO sample_vouchers VALUES ('FREE-LUNCH');

-- Down Migration
DROP TABLE sample_vouchers;
