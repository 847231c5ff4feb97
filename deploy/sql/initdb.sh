#!/usr/bin/env bash
# For the image of PostgreSQL: bootstrap.sql with the passwords of the environment, when the database is made.
set -euo pipefail
psql --username "$POSTGRES_USER" --dbname postgres --no-psqlrc \
    --set=migrator_password="${MIGRATOR_PASSWORD:?}" --set=server_password="${SERVER_PASSWORD:?}" --file=/bootstrap/bootstrap.sql
