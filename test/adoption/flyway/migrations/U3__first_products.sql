DELETE FROM orders;
DELETE FROM customers WHERE email IN ('ada@example.org', 'Bo@Example.org');
DELETE FROM products WHERE sku IN ('B-1', 'B-2', 'R-1', 'T-1');
