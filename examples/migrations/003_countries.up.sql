CREATE TABLE countries (
    code     text    NOT NULL,
    name     text    NOT NULL,
    currency text    NOT NULL,
    in_eu    boolean NOT NULL,
    CONSTRAINT countries_pkey PRIMARY KEY (code),
    CONSTRAINT countries_name_key UNIQUE (name),
    CONSTRAINT countries_code_check CHECK (code ~ '^[A-Z]{2}$'),
    CONSTRAINT countries_currency_check CHECK (currency ~ '^[A-Z]{3}$')
);

COMMENT ON TABLE countries IS 'where partners can be';
COMMENT ON COLUMN countries.code IS 'ISO 3166-1 alpha-2';
COMMENT ON COLUMN countries.currency IS 'ISO 4217';

COPY countries (code, name, currency, in_eu) FROM stdin;
AT	Österreich	EUR	t
CH	Schweiz	CHF	f
CI	Côte d'Ivoire	XOF	f
CW	Curaçao	XCG	f
CZ	Česko	CZK	t
DE	Deutschland	EUR	t
ES	España	EUR	t
FR	France	EUR	t
GB	United Kingdom	GBP	f
IS	Ísland	ISK	f
JP	日本	JPY	f
PL	Polska	PLN	t
TR	Türkiye	TRY	f
US	United States	USD	f
\.
