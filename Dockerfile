# An image with only the static program of a release (scripts/release):
#
#   tar -xzf target/dist/tcpctl-*-x86_64-linux.tar.gz -C target/dist
#   docker build -t tcpctl --build-arg RELEASE=target/dist/tcpctl-VERSION-x86_64-linux .
#   docker run --rm --network host tcpctl bench 192.168.1.1
FROM scratch
ARG RELEASE
COPY ${RELEASE}/tcpctl /tcpctl
COPY ${RELEASE}/LICENSE-APACHE ${RELEASE}/LICENSE-MIT /
COPY ${RELEASE}/licenses /licenses
# A number, because the image has no user database.
USER 65534:65534
ENTRYPOINT ["/tcpctl"]
