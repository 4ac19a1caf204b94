# The command line, Haystack and LlamaIndex on a CPU; `mini` works without a network. docs/docker.md says how to use it.
#
#     docker build --tag bmretriever .
#     docker run --rm --volume "$PWD:/data" bmretriever index papers.jsonl --to papers-index --model mini
#     docker run --rm --volume "$PWD:/data" --publish 127.0.0.1:8080:8080 bmretriever serve papers-index --host 0.0.0.0
#
FROM python:3.11-slim

# Not root, with a home for the cache of the hub. The id 1000 is that of the first user on most Linux machines.
RUN useradd --create-home --uid 1000 bmretriever && install --directory --owner bmretriever /data

# PyTorch first, in the build without CUDA, which is smaller by gigabytes. It is the version that constraints.txt names.
RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu

COPY pyproject.toml README.md LICENSE constraints.txt /source/
COPY src /source/src
RUN cd /source && pip install --no-cache-dir -c constraints.txt ".[haystack,llama-index,faiss,index,serve]"

USER bmretriever
WORKDIR /data
# The image must not need the network for the model that it contains.
RUN HF_HUB_OFFLINE=1 python -c "from bmretriever_integrations import BMRetrieverEncoder; BMRetrieverEncoder('mini')"

ENTRYPOINT ["bmretriever"]
CMD ["--help"]
