-- Something to click on.  Registered for the environment "development" only.
-- No fixed ids: the identity columns hand them out, everything refers by name.
INSERT INTO organizations (slug, name) VALUES
    ('north-dev', 'Nordlicht Maschinenbau'),
    ('south-dev', 'Café del Sur');

INSERT INTO users (organization_id, email, full_name, role)
SELECT o.id, u.email, u.full_name, u.role::user_role
  FROM (VALUES
        ('north-dev', 'zoe@north.example',    'Zoë Krüger',             'administrator'),
        ('north-dev', 'bjork@north.example',  'Björk',                  'member'),
        ('south-dev', 'jose@south.example',   'José García de la Cruz', 'manager'),
        ('south-dev', 'siobhan@south.example', 'Siobhán O''Brien',      'member')
       ) AS u (slug, email, full_name, role)
  JOIN organizations o USING (slug);

-- The same company twice, as it happens when people type names.
INSERT INTO partners (organization_id, name, country_code)
SELECT o.id, p.name, p.country_code
  FROM (VALUES
        ('north-dev', 'Škoda Tools',       'CZ'),
        ('north-dev', 'Škoda tools',       'CZ'),
        ('north-dev', 'Île Verte',         'CI'),
        ('south-dev', 'Åkesson & Partner', 'IS')
       ) AS p (slug, name, country_code)
  JOIN organizations o USING (slug);

INSERT INTO opportunities (organization_id, partner_id, owner_id, title, stage, amount, probability, closed_at)
SELECT p.organization_id, p.id, u.id, v.title, v.stage::opportunity_stage, v.amount, v.probability,
       CASE WHEN v.stage IN ('won', 'lost') THEN now() - interval '3 days' END
  FROM (VALUES
        ('Škoda Tools',       'zoe@north.example',   'Two milling machines',  'proposal',  84000.00, 60),
        ('Škoda tools',       'bjork@north.example', 'Spare parts',           'lead',       1250.50, 10),
        ('Île Verte',         'zoe@north.example',   'Maintenance, one year', 'won',       12000.00, 100),
        ('Åkesson & Partner', 'jose@south.example',  'Coffee, 3 t of beans',  'qualified', 23400.00, 30)
       ) AS v (partner, email, title, stage, amount, probability)
  JOIN partners p ON p.name = v.partner
  JOIN users u ON u.organization_id = p.organization_id AND u.email = v.email;
