# The service as ECS runs it; `docker run --rm -p 8080:8080 IMAGE local` is all of it on a laptop.
# Nothing here names a processor: linux/amd64 and linux/arm64 are built from the same lines.

# An argument, so that the base can come from a registry of one's own or be pinned by its digest.
ARG BASE=python:3.13-slim

# Exactly the locked dependencies (nothing is resolved); with REQUIREMENTS=otel those that write traces, too. Wheels only:
# nothing is compiled, so no stage needs a compiler. Byte code goes by the hash of its source and every file has the same
# time, so that the layer is the same wherever and whenever it is built.
FROM ${BASE} AS dependencies
ARG REQUIREMENTS=service
COPY requirements/${REQUIREMENTS}.txt /tmp/requirements.txt
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv --without-pip /opt/venv \
    && PIP_CACHE_DIR=/var/cache/pip python -m pip --python /opt/venv/bin/python --disable-pip-version-check install --quiet --no-compile \
        --no-deps --require-hashes --only-binary :all: --requirement /tmp/requirements.txt \
    && PYTHONDONTWRITEBYTECODE=1 python -m pip --python /opt/venv/bin/python --disable-pip-version-check check \
    && find /opt/venv/lib -type d -name tests -prune -exec rm -r {} + \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib \
    && mkdir -p /image/opt && mv /opt/venv /image/opt/ \
    && find /image -exec touch --no-dereference --date @0 {} +

# The code, and the two files that it looks for beside itself.
FROM ${BASE} AS code
COPY service /image/app/service
COPY IaC/workflow.asl.json IaC/request.schema.json /image/app/IaC/
RUN chmod -R u=rwX,go=rX /image \
    && python -m compileall -q -s /image -p / --invalidation-mode unchecked-hash /image/app/service \
    && find /image -exec touch --date @0 {} +

FROM ${BASE} AS service
# In the base: nobody needs to become somebody else or to install anything here, and Python's own library comes without
# byte code, which a read-only container would have to make again at each start.
RUN began=$(date --iso-8601=seconds) \
    && python -m pip uninstall --quiet --yes --root-user-action ignore pip \
    && find / -xdev -type f -perm /6000 -exec chmod ug-s {} + \
    && python -m compileall -q -j 0 -x '/(idlelib|pydoc_data|tkinter|turtledemo)/' --invalidation-mode unchecked-hash \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && find /usr /tmp -newermt "$began" -exec touch --no-dereference --date @0 {} +
COPY --from=dependencies /image /
COPY --from=code /image /
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, so that "is it root?" is answered without a look into the image; it needs no entry in /etc/passwd.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "service"]
CMD ["serve"]
# Alive, not ready: a lost link is no reason to be killed. ECS does not read this; its task definition says the same.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["python", "-S", "-c", "\
import http.client, os, sys; \
link = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8080), timeout=2); \
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
