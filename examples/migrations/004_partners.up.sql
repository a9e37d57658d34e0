CREATE TABLE partners (
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    organization_id bigint      NOT NULL,
    name            text        NOT NULL,
    country_code    text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT partners_pkey PRIMARY KEY (id),
    CONSTRAINT partners_organization_fkey FOREIGN KEY (organization_id) REFERENCES organizations,
    CONSTRAINT partners_organization_key UNIQUE (organization_id, id),
    CONSTRAINT partners_country_fkey FOREIGN KEY (country_code) REFERENCES countries,
    CONSTRAINT partners_name_check CHECK (name <> '' AND name = btrim(name))
);

COMMENT ON TABLE partners IS 'companies that an organization does business with';
