-- Up Migration
/* Upper and lower case do not make two addresses:
   see the other half for the way back. */
CREATE UNIQUE INDEX customers_email_key ON customers (lower(email));

-- Down Migration
DROP INDEX customers_email_key;
