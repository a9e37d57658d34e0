-- The tenants.  Everything else belongs to one of them.
CREATE TABLE organizations (
    id         bigint      GENERATED ALWAYS AS IDENTITY,
    slug       text        NOT NULL,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT organizations_pkey PRIMARY KEY (id),
    CONSTRAINT organizations_slug_key UNIQUE (slug),
    CONSTRAINT organizations_slug_check CHECK (slug ~ '^[a-z][a-z0-9-]{1,38}$'),
    CONSTRAINT organizations_name_check CHECK (name <> '' AND name = btrim(name))
);

COMMENT ON TABLE organizations IS 'tenants; rows of other tables are visible to their own organization only';
COMMENT ON COLUMN organizations.slug IS 'name in URLs; never changes';
