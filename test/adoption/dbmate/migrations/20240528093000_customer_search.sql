-- migrate:up
CREATE FUNCTION search_customers(wanted text) RETURNS SETOF customers
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT * FROM customers WHERE last_name ILIKE wanted || '%' OR lower(email) = lower(wanted);
END;

-- migrate:down
DROP FUNCTION search_customers(text);
