DROP POLICY own_organization ON opportunities;
DROP POLICY own_organization ON partners;
DROP POLICY own_organization ON users;
DROP POLICY own_organization ON organizations;

ALTER TABLE opportunities DISABLE ROW LEVEL SECURITY;
ALTER TABLE partners      DISABLE ROW LEVEL SECURITY;
ALTER TABLE users         DISABLE ROW LEVEL SECURITY;
ALTER TABLE organizations DISABLE ROW LEVEL SECURITY;

DROP FUNCTION current_organization_id();
