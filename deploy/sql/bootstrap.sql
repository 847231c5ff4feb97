-- Makes the database of the server and its two roles: one that brings the tables to a version, and one with which the server serves, which
-- may read and write rows and nothing else. For psql 10 or newer, as a superuser
-- or as a role that may make databases and roles, such as that of a managed database; run again, it changes the passwords alone.
--
--   psql -v migrator_password=… -v server_password=… -f bootstrap.sql postgres
--   DATABASE_URL=postgres://mcp_migrator:…@HOST/mcp mcp-http migrate     at each new version, before it serves
--   DATABASE_URL=postgres://mcp_server:…@HOST/mcp mcp-http serve
\set ON_ERROR_STOP on
\if :{?database} \else \set database mcp \endif

SELECT 'CREATE ROLE mcp_migrator' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mcp_migrator') \gexec
SELECT 'CREATE ROLE mcp_server' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mcp_server') \gexec
ALTER ROLE mcp_migrator LOGIN PASSWORD :'migrator_password';
ALTER ROLE mcp_server LOGIN PASSWORD :'server_password';
-- Who is no superuser may do for the owner of the database what its members may.
SELECT 'GRANT mcp_migrator TO CURRENT_USER' WHERE NOT pg_has_role('mcp_migrator', 'USAGE') \gexec

SELECT format('CREATE DATABASE %I OWNER mcp_migrator ENCODING ''UTF8'' TEMPLATE template0', :'database')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO mcp_server;

\connect :"database"
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO mcp_migrator;
GRANT USAGE ON SCHEMA public TO mcp_server;
ALTER DEFAULT PRIVILEGES FOR ROLE mcp_migrator IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO mcp_server;
ALTER DEFAULT PRIVILEGES FOR ROLE mcp_migrator IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO mcp_server;
