# Images of the manager and the agent: make images. Nothing is compiled or pulled here; the
# context is a directory with the static binaries (see hack/images.sh).
FROM scratch AS manager
ARG VERSION=dev
LABEL org.opencontainers.image.title="mooring-manager" \
      org.opencontainers.image.description="Controller and gateway of Mooring" \
      org.opencontainers.image.source="https://github.com/mooring-dev/mooring" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY manager /manager
USER 65532:65532
ENTRYPOINT ["/manager"]

FROM scratch AS agent
ARG VERSION=dev
LABEL org.opencontainers.image.title="mooring-agent" \
      org.opencontainers.image.description="Agent of Mooring" \
      org.opencontainers.image.source="https://github.com/mooring-dev/mooring" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY mooring-agent /mooring-agent
USER 65532:65532
ENTRYPOINT ["/mooring-agent"]
