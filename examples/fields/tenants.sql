-- Tenants of a SaaS with plans, for SQLite: docs/how-to/shape-fields.md.
CREATE TABLE tenants (
    slug TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    plan_name TEXT,
    seats TEXT,
    project TEXT,
    settings JSON
);
INSERT INTO tenants VALUES
    ('acme', 'active', 'enterprise', '250', 'customers-eu', '{"replicas": 4}'),
    ('Beta_Labs', 'active', 'pro', NULL, 'customers-us', NULL),
    ('gamma', 'trial', NULL, '3', NULL, '{"theme": "dark"}');
