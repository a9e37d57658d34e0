DROP FUNCTION search_customers(text);
