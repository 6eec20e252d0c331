# Images of the manager and the agent, built by make images. Nothing is compiled or pulled here; the
# context is a directory with the static binaries (see hack/images.sh).
FROM scratch AS base
ARG VERSION=dev
LABEL org.opencontainers.image.source="https://github.com/mooring-dev/mooring" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
USER 65532:65532

FROM base AS manager
LABEL org.opencontainers.image.title="mooring-manager" \
      org.opencontainers.image.description="Controller and gateway of Mooring"
COPY manager /manager
ENTRYPOINT ["/manager"]

FROM base AS agent
LABEL org.opencontainers.image.title="mooring-agent" \
      org.opencontainers.image.description="Agent of Mooring"
COPY mooring-agent /mooring-agent
ENTRYPOINT ["/mooring-agent"]
