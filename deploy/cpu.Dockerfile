# The server on CPUs, and the base of vllm.Dockerfile: docker build -f deploy/cpu.Dockerfile -t minigemini .
# Run: docker run --rm -p 127.0.0.1:8000:8000 -e MINIGEMINI_API_KEY=… minigemini --model nano --generator nano --ocr
FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY constraints ./constraints
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir -c constraints/cpu.txt torch --index-url https://download.pytorch.org/whl/cpu
COPY pyproject.toml README.md LICENSE THIRD_PARTY.md ./
COPY minigemini ./minigemini
COPY minigemini_models ./minigemini_models
# The wheel stays in the image, for vllm.Dockerfile.
RUN /venv/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && /venv/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[serve,structured,draw,ocr]"

FROM python:3.11-slim-bookworm
COPY --from=build /venv /venv
COPY --from=build /wheels /wheels
RUN useradd --create-home --uid 10001 minigemini
USER 10001
ENV HF_HUB_OFFLINE=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["/venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/venv/bin/minigemini", "serve", "--host", "0.0.0.0"]
