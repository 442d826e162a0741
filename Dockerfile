# Without a target: everything, so that `docker run --rm -p 8080:8080 IMAGE local` also runs the embedded local AWS.
# With `--target serve`: the production image, without what only local use needs.
# No line names a processor: linux/amd64 and linux/arm64 are built alike.

# An argument, so that the base image can come from a private registry or be pinned by its digest.
ARG BASE=python:3.13-slim

# Exactly the locked dependencies, once for each image; nothing is resolved. REQUIREMENTS=otel adds those that export
# traces. Only wheels are installed: nothing is compiled, so no stage needs a compiler. Byte code is validated by hash and
# every file has the same time, so that a layer is the same wherever and whenever it is built.
FROM ${BASE} AS dependencies
ARG REQUIREMENTS=service
COPY requirements/${REQUIREMENTS}.txt /tmp/serve.txt
COPY requirements/local.txt /tmp/local.txt
RUN --mount=type=cache,target=/var/cache/pip set -e; \
    python -m venv --without-pip /opt/venv; \
    for image in serve local; do \
        PIP_CACHE_DIR=/var/cache/pip python -m pip --python /opt/venv/bin/python --disable-pip-version-check install --quiet --no-compile \
            --no-deps --require-hashes --only-binary :all: --requirement /tmp/$image.txt; \
        PYTHONDONTWRITEBYTECODE=1 python -m pip --python /opt/venv/bin/python --disable-pip-version-check check; \
        find /opt/venv/lib -type d -name tests -prune -exec rm -r {} +; \
        python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib; \
        mkdir -p /image/$image/opt; \
        cp -a /opt/venv /image/$image/opt/; \
    done; \
    find /image -exec touch --no-dereference --date @0 {} +

# The code, and the files that it reads from the folder beside it.
FROM ${BASE} AS code
COPY service /image/local/app/service
COPY IaC/workflow.asl.json IaC/relay.asl.json IaC/request.schema.json /image/local/app/IaC/
RUN chmod -R u=rwX,go=rX /image \
    && python -m compileall -q -s /image/local -p / --invalidation-mode unchecked-hash /image/local/app/service \
    && cp -a /image/local /image/serve \
    && rm -r /image/serve/app/service/local /image/serve/app/IaC/*.asl.json \
    && find /image -exec touch --date @0 {} +

# What both images have in common.
FROM ${BASE} AS runtime
# Nothing here needs to change its user or install anything, so setuid bits and pip go. Python's own library comes without
# byte code, which a read-only container would have to create again at each start.
RUN began=$(date --iso-8601=seconds) \
    && python -m pip uninstall --quiet --yes --root-user-action ignore pip \
    && find / -xdev -type f -perm /6000 -exec chmod ug-s {} + \
    && python -m compileall -q -j 0 -x '/(idlelib|pydoc_data|tkinter|turtledemo)/' --invalidation-mode unchecked-hash \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && find /usr /tmp -newermt "$began" -exec touch --no-dereference --date @0 {} +
# `local` would listen on 127.0.0.1, which nothing outside a container can reach.
ENV HOST=0.0.0.0
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, so that a scanner sees without reading the image that it is not root; it needs no entry in /etc/passwd.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "service"]
CMD ["serve"]
# Liveness, not readiness: an instance must not be killed because it lost its link. ECS ignores this; its task definition
# has its own check. On Linux a connection to 0.0.0.0 or :: is one to this machine.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["python", "-S", "-c", "\
import http.client, os, sys; \
link = http.client.HTTPConnection(os.environ.get('HOST') or '127.0.0.1', int(os.environ.get('PORT') or 8080), timeout=2); \
link.request('GET', '/healthz'); \
sys.exit(link.getresponse().status != 200)"]
ARG BASE
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sync-front" \
    org.opencontainers.image.description="A synchronous HTTP front for asynchronous AWS Step Functions workflows, \
answered over AWS AppSync Events" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.base.name="${BASE}" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"

FROM runtime AS serve
COPY --from=dependencies /image/serve /
COPY --from=code /image/serve /

FROM runtime AS local
COPY --from=dependencies /image/local /
COPY --from=code /image/local /
