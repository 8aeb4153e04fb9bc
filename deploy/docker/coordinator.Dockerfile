# docker build -f deploy/docker/coordinator.Dockerfile -t prefmill-coordinator .
FROM python:3.12.11-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.8.22 /uv /usr/local/bin/uv
WORKDIR /src
RUN uv venv /opt/prefmill
COPY requirements/coordinator.txt requirements/build.txt requirements/
RUN uv pip sync --python /opt/prefmill --require-hashes --compile-bytecode requirements/coordinator.txt
COPY shared shared
COPY services/coordinator services/coordinator
# Judge and sink for their plugins: a recipe is checked before anything is spent, so its rubrics,
# pools, formats and destinations must be there.
COPY services/judge services/judge
COPY services/sink services/sink
# What builds the distributions is locked too, and stays out of the image.
RUN uv venv /opt/build && uv pip sync --python /opt/build --require-hashes requirements/build.txt \
    && VIRTUAL_ENV=/opt/build PATH="/opt/build/bin:$PATH" uv build --no-build-isolation --wheel --out-dir /wheels shared \
    && VIRTUAL_ENV=/opt/build PATH="/opt/build/bin:$PATH" uv build --no-build-isolation --wheel --out-dir /wheels services/coordinator \
    && VIRTUAL_ENV=/opt/build PATH="/opt/build/bin:$PATH" uv build --no-build-isolation --wheel --out-dir /wheels services/judge \
    && VIRTUAL_ENV=/opt/build PATH="/opt/build/bin:$PATH" uv build --no-build-isolation --wheel --out-dir /wheels services/sink \
    && uv pip install --python /opt/prefmill --no-deps --compile-bytecode /wheels/*.whl

FROM python:3.12.11-slim-bookworm
COPY --from=build /opt/prefmill /opt/prefmill
ENV PATH=/opt/prefmill/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
CMD ["python", "-m", "prefmill.coordinator.app"]
