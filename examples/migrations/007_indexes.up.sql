-- PostgreSQL indexes what a foreign key refers to, not what refers.
CREATE INDEX partners_country_idx ON partners (country_code);
CREATE INDEX opportunities_partner_idx ON opportunities (organization_id, partner_id);

-- "my open opportunities, newest first" is the start page; closed ones are most of the table
CREATE INDEX opportunities_open_idx ON opportunities (organization_id, owner_id, created_at DESC)
    WHERE stage NOT IN ('won', 'lost');
