# syntax=docker/dockerfile:1

# Only Tidemark: one static binary, which runs as a user other than root and can write only to
# /data, which the embedded NATS server needs (./data/nats), and nodes with nats.url do not.
#
#   task image        # or: docker build -t tidemark . (`tidemark version` then shows no commit)
#   docker run --rm --read-only -p 127.0.0.1:8080:8080 -v tidemark:/data \
#     -e TIDEMARK_AUTH_IDENTITY=anonymous tidemark

FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# The values of `tidemark version`, because the context has no git: `task image` and compose.yaml set them.
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
# Loopback would be the container's own. It overrides a configuration file, which should omit
# http.addr. auth.identity is not set here, because the environment would override a file there, too:
# without auth.identity the node does not start and reports an error.
ENV TIDEMARK_HTTP_ADDR=:8080
EXPOSE 8080
# Checks that the process runs, not that it is ready: while NATS is unreachable a restart does not help.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["tidemark", "health"]
ENTRYPOINT ["tidemark"]
CMD ["serve"]
