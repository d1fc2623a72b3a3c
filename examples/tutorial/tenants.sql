-- The tutorial's table and its ten sample tenants.
CREATE TABLE organization (
    id serial PRIMARY KEY,
    tenant varchar(255),
    status varchar(50) -- active, trial, inactive or de-provisioned
);

INSERT INTO organization (tenant, status) VALUES
    ('acme-corp', 'active'),
    ('beta-solutions', 'de-provisioned'),
    ('gamma-industries', 'trial'),
    ('delta-technologies', 'inactive'),
    ('echo-innovations', 'active'),
    ('foxtrot-consulting', 'de-provisioned'),
    ('global-tech', 'trial'),
    ('horizon-enterprises', 'inactive'),
    ('innova-systems', 'active'),
    ('jupiter-networks', 'trial');
