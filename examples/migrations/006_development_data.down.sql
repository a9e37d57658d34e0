-- Also what was entered for these organizations since.
WITH seeded AS (SELECT id FROM organizations WHERE slug IN ('north-dev', 'south-dev'))
DELETE FROM opportunities WHERE organization_id IN (SELECT id FROM seeded);

WITH seeded AS (SELECT id FROM organizations WHERE slug IN ('north-dev', 'south-dev'))
DELETE FROM partners WHERE organization_id IN (SELECT id FROM seeded);

WITH seeded AS (SELECT id FROM organizations WHERE slug IN ('north-dev', 'south-dev'))
DELETE FROM users WHERE organization_id IN (SELECT id FROM seeded);

DELETE FROM organizations WHERE slug IN ('north-dev', 'south-dev');
