# HAProxy from Debian, for the test of streams behind an ingress controller. Its configuration is mounted.
ARG BASE_IMAGE=debian:bookworm-slim
FROM ${BASE_IMAGE}

RUN apt-get update \
    && apt-get install -y --no-install-recommends haproxy \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin

USER 65532:65532
ENTRYPOINT ["haproxy", "-db", "-f", "/config/haproxy.cfg"]
