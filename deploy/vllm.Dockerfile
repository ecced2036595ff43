# vLLM with Mini-Gemini's plugin, on NVIDIA GPUs. The base comes first, because the wheel is taken from it:
# docker build -f deploy/cpu.Dockerfile -t minigemini . && docker build -f deploy/vllm.Dockerfile -t minigemini-vllm .
# Run: docker run --rm --gpus all --ipc=host -p 127.0.0.1:8001:8001 -v /models:/models:ro minigemini-vllm /models/mgm-7b --served-model-name mgm-7b --port 8001 --dtype bfloat16
ARG BASE=minigemini
# The release that `make test-vllm` tests, in its build for CPUs. It requires transformers<5.20.
ARG VLLM=v0.32.0
FROM ${BASE} AS base

FROM vllm/vllm-openai:${VLLM}
COPY --from=base /wheels /wheels
RUN uv pip install --system --no-cache /wheels/*.whl 'transformers<5.20' \
    && useradd --create-home --uid 10001 minigemini
USER 10001
ENV HOME=/home/minigemini HF_HUB_OFFLINE=1
EXPOSE 8001
HEALTHCHECK --interval=30s --timeout=5s --start-period=900s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8001/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["vllm", "serve"]
