# gpt2-sampler on a CPU. Models are kept on a volume:
#   docker build --tag gpt2-sampler .
#   docker run --rm -it --volume gpt2-models:/models gpt2-sampler
#   docker run --rm --volume gpt2-models:/models gpt2-sampler gpt2-download 117M
FROM python:3.13-slim AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN python -m venv /opt/gpt2 \
    && /opt/gpt2/bin/pip install --no-cache-dir /source /source/models/demo-zh \
    && /opt/gpt2/bin/pip uninstall --yes pip

FROM python:3.13-slim
COPY --from=build /opt/gpt2 /opt/gpt2
RUN useradd --uid 1000 --create-home gpt2 && install --directory --owner gpt2 /models
USER 1000
WORKDIR /
VOLUME /models
ENV PATH=/opt/gpt2/bin:$PATH
CMD ["gpt2-interactive"]
