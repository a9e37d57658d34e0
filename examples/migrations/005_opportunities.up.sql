CREATE TYPE opportunity_stage AS ENUM ('lead', 'qualified', 'proposal', 'won', 'lost');

CREATE TABLE opportunities (
    id              bigint            GENERATED ALWAYS AS IDENTITY,
    organization_id bigint            NOT NULL,
    partner_id      bigint            NOT NULL,
    owner_id        bigint            NOT NULL,
    title           text              NOT NULL,
    stage           opportunity_stage NOT NULL DEFAULT 'lead',
    amount          numeric(12, 2)    NOT NULL DEFAULT 0,
    probability     smallint          NOT NULL DEFAULT 10,
    closed_at       timestamptz,
    created_at      timestamptz       NOT NULL DEFAULT now(),
    updated_at      timestamptz       NOT NULL DEFAULT now(),
    CONSTRAINT opportunities_pkey PRIMARY KEY (id),
    -- both columns: nobody can refer to a partner or a user of another organization
    CONSTRAINT opportunities_partner_fkey
        FOREIGN KEY (organization_id, partner_id) REFERENCES partners (organization_id, id),
    CONSTRAINT opportunities_owner_fkey
        FOREIGN KEY (organization_id, owner_id) REFERENCES users (organization_id, id),
    CONSTRAINT opportunities_title_check CHECK (title <> ''),
    CONSTRAINT opportunities_amount_check CHECK (amount >= 0),
    CONSTRAINT opportunities_probability_check CHECK (probability BETWEEN 0 AND 100),
    CONSTRAINT opportunities_closed_check
        CHECK ((closed_at IS NOT NULL) = (stage IN ('won', 'lost')))
);

COMMENT ON TABLE opportunities IS 'what might be sold, to whom, and how likely';
COMMENT ON COLUMN opportunities.amount IS 'in the currency of the partner''s country';
COMMENT ON COLUMN opportunities.probability IS 'per cent';
COMMENT ON COLUMN opportunities.closed_at IS 'when it was won or lost';
