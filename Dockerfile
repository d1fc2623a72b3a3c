# The image of tenantry. Build it from the root of the repository:
#
#     docker build --tag tenantry:0.1.0 .
#
# The base is pinned by tag. A digest pins more, but none could be looked up when this file was written: add yours
# to both FROM lines (`python:3.11-slim-bookworm@sha256:…`) if your registry can tell you one.
# Python 3.11 because that is the version that every test of this repository runs on.

FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_REQUIRE_VIRTUALENV=1

WORKDIR /build

# The build backend is hashed like everything else, and does not leave this stage.
COPY requirements/build.lock requirements/runtime.lock requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --requirement requirements/build.lock

# What runs: exactly the locked versions, in an environment without pip.
RUN python -m venv --without-pip /opt/tenantry \
    && /opt/build/bin/pip --python /opt/tenantry/bin/python install \
        --no-compile --no-deps --require-hashes --requirement requirements/runtime.lock

COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --no-index --wheel-dir dist . \
    && /opt/build/bin/pip --python /opt/tenantry/bin/python install \
        --find-links dist --no-compile --no-deps --no-index tenantry

# Bytecode now, since the running process may not write any. `unchecked-hash`: no file's time matters afterwards.
RUN /opt/tenantry/bin/python -m compileall --invalidation-mode unchecked-hash -f -q /opt/tenantry/lib


FROM python:3.11-slim-bookworm

ARG REVISION=unknown

LABEL org.opencontainers.image.title="tenantry" \
      org.opencontainers.image.description="Turns the tenants in your database into Argo CD Applications, and never a fault into a deletion." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The tenantry authors"

# The only directory that is ever written to; the root file system may be read-only.
RUN groupadd --gid 65532 tenantry \
    && useradd --uid 65532 --gid 65532 --home-dir /var/lib/tenantry --no-create-home --shell /usr/sbin/nologin tenantry \
    && install --directory --group=65532 --mode=0750 --owner=65532 /var/lib/tenantry

COPY --from=build /opt/tenantry /opt/tenantry
COPY LICENSE NOTICE /usr/share/doc/tenantry/

ENV PATH=/opt/tenantry/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /var/lib/tenantry
VOLUME ["/var/lib/tenantry"]
USER 65532:65532
EXPOSE 4355
STOPSIGNAL SIGTERM

ENTRYPOINT ["tenantry"]
CMD ["serve"]
