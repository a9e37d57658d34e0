CREATE TYPE user_role AS ENUM ('member', 'manager', 'administrator');

CREATE TABLE users (
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    organization_id bigint      NOT NULL,
    email           text        NOT NULL,
    full_name       text        NOT NULL,
    role            user_role   NOT NULL DEFAULT 'member',
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_organization_fkey FOREIGN KEY (organization_id) REFERENCES organizations,
    -- what foreign keys that stay within one organization refer to
    CONSTRAINT users_organization_key UNIQUE (organization_id, id),
    CONSTRAINT users_email_check CHECK (email ~ '^[^@\s]+@[^@\s]+$'),
    CONSTRAINT users_full_name_check CHECK (full_name <> '' AND full_name = btrim(full_name))
);

CREATE UNIQUE INDEX users_email_key ON users (lower(email));

COMMENT ON TABLE users IS 'people who can log in';
COMMENT ON COLUMN users.email IS 'the login; unique without regard to case';
COMMENT ON COLUMN users.full_name IS 'as the person writes it';
