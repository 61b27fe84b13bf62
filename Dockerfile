# syntax=docker/dockerfile:1

# Tidemark alone: one static binary, as a user who is not root, with nothing to write to but
# /data, which the embedded NATS server needs (./data/nats), and nodes with nats.url do not.
#
#   task image        # or: docker build -t tidemark . (`tidemark version` then tells no commit)
#   docker run --rm --read-only -p 127.0.0.1:8080:8080 -v tidemark:/data \
#     -e TIDEMARK_AUTH_IDENTITY=anonymous tidemark

FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# What `tidemark version` tells, as the context has no git: `task image` and compose.yaml hand it over.
ARG VERSION=
ARG COMMIT=
ARG DATE=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath \
    -ldflags="-s -w -X main.stampVersion=${VERSION} -X main.stampCommit=${COMMIT} -X main.stampDate=${DATE}" -o /out/tidemark ./cmd/tidemark \
    && mkdir -p /out/data

FROM scratch
# For issuers of tokens (auth.jwt.jwks_url) and NATS servers with public certificates.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/tidemark /usr/bin/tidemark
# A new volume takes over this owner.
COPY --from=build --chown=10001:10001 /out/data /data
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
ENV PATH=/usr/bin
# Loopback would be the container's own. It beats a file, which should leave http.addr out. Who
# is calling is not set here, as the environment would beat a file there, too: without
# auth.identity the node does not start, and says so.
ENV TIDEMARK_HTTP_ADDR=:8080
EXPOSE 8080
# Whether it lives, not whether it is ready: while NATS is away a restart would help nobody.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["tidemark", "health"]
ENTRYPOINT ["tidemark"]
CMD ["serve"]
