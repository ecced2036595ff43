# The server on NVIDIA GPUs: docker build -f deploy/gpu.Dockerfile -t minigemini-gpu .
# Run: docker run --rm --gpus all -p 127.0.0.1:8000:8000 -v /models:/models:ro -e MINIGEMINI_API_KEY=… minigemini-gpu --model /models/mgm-7b
FROM python:3.11-slim-bookworm AS build
WORKDIR /source
# PyPI's build for Linux includes the CUDA libraries; the host provides the driver only.
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir torch==2.13.0
COPY pyproject.toml README.md LICENSE THIRD_PARTY.md ./
COPY minigemini ./minigemini
COPY minigemini_models ./minigemini_models
RUN /venv/bin/pip install --no-cache-dir '.[serve,structured,draw,ocr,quantize]'

FROM python:3.11-slim-bookworm
COPY --from=build /venv /venv
RUN useradd --create-home --uid 10001 minigemini
USER 10001
ENV HF_HUB_OFFLINE=1 NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=600s \
    CMD ["/venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/venv/bin/minigemini", "serve", "--host", "0.0.0.0"]
