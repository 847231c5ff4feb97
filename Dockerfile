# syntax=docker/dockerfile:1
# The bundled server. To be built: docker build -t mcp-http .
# It runs as nobody in particular, and writes into /var/lib/mcp and /tmp alone: docker run --read-only --tmpfs /tmp -v mcp_data:/var/lib/mcp …

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --release -p mcp-http --bin mcp-http --bin mcp-stdio \
    && install -D -t /out target/release/mcp-http target/release/mcp-stdio

FROM debian:bookworm-slim
# pg_dump and pg_restore are for backups of PostgreSQL: they must not be older than its server. 15 is Debian's.
ARG POSTGRES_CLIENT=15
RUN apt-get update \
    && apt-get install --yes --no-install-recommends "ca-certificates=*" "postgresql-client-${POSTGRES_CLIENT}=*" \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/mcp --create-home mcp
COPY --from=build /out/ /usr/local/bin/
COPY deploy/sql/bootstrap.sql /usr/local/share/mcp/
USER 10001:10001
WORKDIR /var/lib/mcp
VOLUME /var/lib/mcp
# An address that others can reach needs API_KEY, or a key that is kept; there is no default.
ENV HOST=0.0.0.0 PORT=8000 LOG_FORMAT=json
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --retries=3 CMD ["mcp-http", "health"]
ENTRYPOINT ["mcp-http"]
