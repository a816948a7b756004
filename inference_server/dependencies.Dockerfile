# The dependencies of a replica: Python and the locked packages, without our code, so that a code change rebuilds
# neither them nor the images based on them. Context: the repository's root. Needs no BuildKit.
#   ENGINE=transformers  torch and transformers, runs models on CPU and CUDA
#   ENGINE=simulated     without both: the same HTTP, queue, metrics and drain, with simulated output
#   DEVICE=any           CPU and CUDA
#   DEVICE=cpu           1.2 GB smaller, CPU only: without the CUDA libraries that torch opens first on a GPU
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE}

ARG ENGINE=transformers
ARG DEVICE=any
COPY requirements/server.txt requirements/simulated.txt inference_server/drop_cuda.py /tmp/requirements/
# The lock is complete, so --no-deps omits nothing but, for CPUs, triton. Triton compiles the GPU kernels when the server
# starts. For that it needs a C compiler and the headers of Python.
RUN set -eu; \
    case "${ENGINE}" in \
        transformers) lock=server ;; \
        simulated) lock=simulated ;; \
        *) echo "ENGINE must be transformers or simulated, found ${ENGINE}" >&2; exit 1 ;; \
    esac; \
    if [ "${DEVICE}" = cpu ] || [ "${ENGINE}" = simulated ]; then \
        awk '/^[^ ]/ {skip = /^triton==/} !skip' "/tmp/requirements/${lock}.txt" > /tmp/requirements/image.txt; \
    else \
        cp "/tmp/requirements/${lock}.txt" /tmp/requirements/image.txt; \
        headers="$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')"; \
        apt-get update -qq; \
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends gcc libc6-dev \
            $([ -e "${headers}/Python.h" ] || echo libpython3-dev); \
        rm -rf /var/lib/apt/lists/*; \
    fi; \
    python3 -m venv /opt/venv; \
    /opt/venv/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --no-deps --require-hashes -r /tmp/requirements/image.txt; \
    /opt/venv/bin/python -m pip uninstall --quiet --yes pip setuptools; \
    if [ "${DEVICE}" = cpu ]; then \
        /opt/venv/bin/python /tmp/requirements/drop_cuda.py; \
        /opt/venv/bin/python -c "import torch, transformers; torch.nn.Linear(4, 4)(torch.ones(2, 4)).sum().backward()"; \
    fi; \
    rm -rf /tmp/requirements

# A read-only root file system needs only /tmp writable.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/chatscale \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    HF_HOME=/tmp/huggingface \
    HF_HUB_DISABLE_TELEMETRY=1 \
    HF_HUB_DISABLE_PROGRESS_BARS=1
