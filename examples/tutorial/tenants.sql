-- The tutorial's table and its ten sample tenants.
CREATE TABLE organization (
    id serial PRIMARY KEY,
    tenant varchar(255),
    status varchar(50) -- active, trial, inactive or de-provisioned
);

INSERT INTO organization (tenant, status) VALUES
    ('acme-corp', 'active'),
    ('beta-solutions', 'trial'),
    ('gamma-industries', 'inactive'),
    ('delta-technologies', 'active'),
    ('echo-innovations', 'de-provisioned'),
    ('foxtrot-consulting', 'trial'),
    ('global-tech', 'active'),
    ('horizon-enterprises', 'inactive'),
    ('innova-systems', 'trial'),
    ('jupiter-networks', 'de-provisioned');
