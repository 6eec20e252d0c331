# Static, non-root images of the manager and the agent: buildah bud --target manager .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X github.com/mooring-dev/mooring/internal/version.Version=${VERSION}" \
    -o /out/ ./cmd/manager ./cmd/mooring-agent

FROM scratch AS manager
COPY --from=build /out/manager /manager
USER 65532:65532
ENTRYPOINT ["/manager"]

FROM scratch AS agent
COPY --from=build /out/mooring-agent /mooring-agent
USER 65532:65532
ENTRYPOINT ["/mooring-agent"]
