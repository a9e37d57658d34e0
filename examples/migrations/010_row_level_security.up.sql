-- The application logs in as a role that does not own these tables, and says
-- for whom it works: SET crm.organization_id = 42.  If it forgets, it sees
-- nothing.  The owner, who runs migrations, is not limited.
CREATE FUNCTION current_organization_id() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('crm.organization_id', true), '')::bigint;

COMMENT ON FUNCTION current_organization_id() IS 'the organization that this session works for';

ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE users         ENABLE ROW LEVEL SECURITY;
ALTER TABLE partners      ENABLE ROW LEVEL SECURITY;
ALTER TABLE opportunities ENABLE ROW LEVEL SECURITY;

-- (SELECT ...): evaluated once for each query, not for each row
CREATE POLICY own_organization ON organizations
    USING (id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON users
    USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON partners
    USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON opportunities
    USING (organization_id = (SELECT current_organization_id()));
