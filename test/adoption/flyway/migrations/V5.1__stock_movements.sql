CREATE TABLE stock_movements (
    sku text NOT NULL REFERENCES products (sku),
    moved_on date NOT NULL,
    amount int NOT NULL
) PARTITION BY RANGE (moved_on);

DO $do$
DECLARE
    year int;
BEGIN
    FOR year IN 2024 .. 2026 LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF stock_movements FOR VALUES FROM (%L) TO (%L)',
                       'stock_movements_' || year, make_date(year, 1, 1), make_date(year + 1, 1, 1));
    END LOOP;
END
$do$;

CREATE INDEX stock_movements_sku_idx ON stock_movements (sku);
