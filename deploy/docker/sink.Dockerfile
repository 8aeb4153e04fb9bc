# docker build -f deploy/docker/sink.Dockerfile -t prefmill-sink .
FROM python:3.12.11-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.8.22 /uv /usr/local/bin/uv
WORKDIR /src
RUN uv venv /opt/prefmill
COPY requirements/sink.txt requirements/build.txt requirements/
RUN uv pip sync --python /opt/prefmill --require-hashes --compile-bytecode requirements/sink.txt
COPY shared shared
COPY services/sink services/sink
# What builds the two distributions is locked too, and stays out of the image.
RUN uv venv /opt/build && uv pip sync --python /opt/build --require-hashes requirements/build.txt \
    && VIRTUAL_ENV=/opt/build PATH="/opt/build/bin:$PATH" uv build --no-build-isolation --wheel --out-dir /wheels shared \
    && VIRTUAL_ENV=/opt/build PATH="/opt/build/bin:$PATH" uv build --no-build-isolation --wheel --out-dir /wheels services/sink \
    && uv pip install --python /opt/prefmill --no-deps --compile-bytecode /wheels/*.whl

FROM python:3.12.11-slim-bookworm
COPY --from=build /opt/prefmill /opt/prefmill
ENV PATH=/opt/prefmill/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
CMD ["python", "-m", "prefmill.sink.app"]
