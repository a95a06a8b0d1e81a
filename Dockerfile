# The suite on a CPU. Build and train, with the results in ./out:
#   docker build -t ludo-rl . && mkdir -p out && docker run --rm --user "$(id -u)" -v "$PWD/out:/home/rl/runs/out" ludo-rl
# Any command: docker run --rm ludo-rl rl list. PyTorch's Linux wheels may bring 3 GB of CUDA; an index of its CPU builds
# avoids them: --build-arg PIP_EXTRA_INDEX_URL=ADDRESS.
FROM python:3.12-slim

ARG PIP_EXTRA_INDEX_URL=""
WORKDIR /suite
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY rl rl
COPY agents agents
COPY envs envs
COPY runs runs
RUN pip install --no-cache-dir -c constraints.txt . && useradd --create-home rl && install -d -m 777 /home/rl/runs/out

USER rl
WORKDIR /home/rl
ENV HOME=/tmp PYGAME_HIDE_SUPPORT_PROMPT=1 NUMBA_CACHE_DIR=/tmp/numba
CMD ["python", "-m", "runs.cli.demo"]
