-- migrate:up
/* Upper and lower case do not make two addresses:
   see the -- down migration -- below for the way back. */
CREATE UNIQUE INDEX customers_email_key ON customers (lower(email));

-- migrate:down
DROP INDEX customers_email_key;
