#!/usr/bin/env python3
"""A real Prometheus scrapes a real gateway: with all well nothing fires and all rules record; then faults are made, and
their alerts fire, and no others.

  ops-live.py WEIR DIRECTORY      WEIR is the binary; what is needed is made in DIRECTORY, which may go afterwards

The rules are those of conf/alerts, but for `for:`, which is a second: nobody waits an hour for a test. Needs PyYAML and
Prometheus. Exits with 1 where something is not as it should be.
"""

import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
KEY = "wk-ops-live"
ADMIN, METRICS = "admin-token-of-the-live-run", "metrics-token-of-the-live-run"
PATIENCE = 90


class Provider(http.server.BaseHTTPRequestHandler):
    """Answers chat completions; below /locked it refuses the credential."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.startswith("/locked"):
            return self.answer(401, {"error": {"message": "no such key", "type": "invalid_request_error"}})
        message = {"role": "assistant", "content": "hello"}
        self.answer(200, {
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        })  # fmt: skip

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, look):
    """Asks until there is an answer."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.3)
    raise SystemExit(f"ops-live: waited {PATIENCE} s for {what}")


class Gateway:
    def __init__(self, binary, directory, provider, dead):
        self.file = directory / "weir.yaml"
        price = "{price: {input: 1, output: 2}}"
        self.good = f"""
server: {{listen: "127.0.0.1:0"}}
admin:
  listen: 127.0.0.1:0
  token: "{ADMIN}"
  tokens: [{{name: prometheus, token: "{METRICS}", role: viewer}}]
state: {{dir: "{directory}/data"}}
providers:
  good: {{kind: openai-compatible, base_url: "http://127.0.0.1:{provider}/v1", models: {{m: {price}}}}}
  locked: {{kind: openai-compatible, base_url: "http://127.0.0.1:{provider}/locked/v1", api_key: wrong, models: {{m: {price}}}}}
  dead: {{kind: openai-compatible, base_url: "http://127.0.0.1:{dead}/v1", models: {{m: {price}}}}}
routes:
  first: {{targets: [{{model: good/m}}]}}
tenants:
  acme:
    budgets: [{{usd: 1000, per: day}}]
    keys: [{{id: acme-dev, secret: "{KEY}"}}]
telemetry: {{access_log: "{directory}/access.log"}}
"""
        self.file.write_text(self.good)
        self.log = directory / "weir.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([binary, "run", "-c", self.file], stderr=log, stdout=log, cwd=directory)
        self.public, self.admin = until("the gateway to listen", self.ports)

    def ports(self):
        if self.process.poll() is not None:
            raise SystemExit(f"ops-live: weir ended:\n{self.log.read_text()}")
        found = re.findall(r"^weir: (?:listening|admin) on http://127.0.0.1:(\d+)$", self.log.read_text(), re.M)
        return found if len(found) == 2 else None

    def ask(self, model):
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]})
        connection = http.client.HTTPConnection("127.0.0.1", int(self.public), timeout=20)
        connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status


class Prometheus:
    def __init__(self, directory, target):
        text = (ROOT / "conf/alerts/weir.rules.yml").read_text()
        text, shortened = re.subn(r"^(\s+for: ).*$", r"\g<1>1s", text, flags=re.M)
        assert shortened > 20, "the rules' `for:` are not found"
        (directory / "rules.yml").write_text(text)
        (directory / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: live/weir
    authorization: {{credentials: {METRICS}}}
    static_configs: [{{targets: ["127.0.0.1:{target}"]}}]
""")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = directory / "prometheus.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/tsdb",
                 f"--web.listen-address=127.0.0.1:{port}"],
                stdout=log, stderr=log,
            )  # fmt: skip
        until("Prometheus", lambda: self.is_ready())

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def get(self, path, **query):
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)["data"]

    def has(self, query):
        return self.get("/api/v1/query", query=query)["result"]

    def firing(self):
        return {a["labels"]["alertname"] for a in self.get("/api/v1/alerts")["alerts"] if a["state"] == "firing"}

    def texts(self, name):
        return [a["annotations"] for a in self.get("/api/v1/alerts")["alerts"] if a["labels"]["alertname"] == name]


# What a share of failed requests sets off, some sooner, some later.
BURNS = {
    "WeirAvailabilityBurnFast", "WeirAvailabilityBurn", "WeirAvailabilityBurnSlow",
    "WeirTenantAvailabilityBurnFast", "WeirTenantAvailabilityBurn", "WeirErrorRatioHigh",
}  # fmt: skip


def well(gateway, prometheus):
    """Traffic without a fault: all that is recorded has a value, nothing fires."""
    until("the target", lambda: prometheus.has('up{job="live/weir"} == 1'))
    records = [
        rule["record"]
        for group in yaml.safe_load((ROOT / "conf/alerts/weir.rules.yml").read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    ]

    def missing():
        for model in ("good/m", "first"):
            status = gateway.ask(model)
            assert status == 200, f"{model} answered {status}"
        return [name for name in records if not prometheus.has(name)]

    until("all recording rules", lambda: not missing())
    # A few more rounds, of traffic and of evaluations.
    for _ in range(5):
        missing()
        time.sleep(1)
    states = prometheus.get("/api/v1/rules")["groups"]
    broken = [rule["name"] for group in states for rule in group["rules"] if rule["health"] != "ok"]
    assert not broken, f"rules in error: {broken}"
    assert not prometheus.firing(), f"all is well, and yet these fire: {prometheus.firing()}"
    rate = float(prometheus.has("job:weir_requests:rate5m")[0]["value"][1])
    assert rate > 0, "no requests were seen"
    print(f"live: {len(records)} recorded series have values ({rate:.1f} requests/s), nothing fires")


def fault(prometheus, what, make, wanted, may=frozenset()):
    """Makes it until the alerts fire. What fired before goes on."""
    before = prometheus.firing()

    def fires():
        make()
        return wanted <= prometheus.firing()

    try:
        until(", ".join(sorted(wanted)), fires)
    except SystemExit as error:
        raise SystemExit(f"{error}; these fire: {sorted(prometheus.firing())}") from None
    # A debug build on a busy machine may be slow.
    others = prometheus.firing() - before - wanted - may - {"WeirOverheadHigh"}
    assert not others, f"{what}: these fire too: {others}"
    for name in wanted:
        for texts in prometheus.texts(name):
            assert "<no value>" not in str(texts) and "error calling" not in str(texts), f"{name}: {texts}"
    print(f"live: {what}: {', '.join(sorted(wanted))}")


def once(action):
    done = []

    def make():
        if not done:
            done.append(action())

    return make


def main():
    binary, directory = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    # Bound and not listening: connections are refused as long as this process lives.
    dead = socket.socket()
    dead.bind(("127.0.0.1", 0))
    gateway, prometheus = None, None
    try:
        gateway = Gateway(binary, directory, provider.server_port, dead.getsockname()[1])
        prometheus = Prometheus(directory, gateway.admin)
        well(gateway, prometheus)
        lint = [sys.executable, ROOT / "scripts/ops-lint.py", "expressions", prometheus.url]
        looked = subprocess.run(lint, capture_output=True, text=True)
        print(f"live: dashboards: {looked.stdout.strip()}")
        assert looked.returncode == 0

        def unpriced():
            assert gateway.ask("good/new") == 200

        def refused_reload():
            gateway.file.write_text(gateway.good + "\nnonsense: true\n")
            gateway.process.send_signal(signal.SIGHUP)

        fault(prometheus, "a model without a price", unpriced, {"WeirPriceUnknown"})
        fault(prometheus, "a file with an error", once(refused_reload), {"WeirConfigReloadFailed"})
        assert gateway.ask("good/m") == 200, "the old configuration is no longer in force"
        fault(
            prometheus, "a credential that is refused", lambda: gateway.ask("locked/m"),
            {"WeirCredentialRefused", "WeirProviderOut"}, BURNS,
        )  # fmt: skip
        fault(
            prometheus, "a provider that refuses connections", lambda: gateway.ask("dead/m"),
            {"WeirProviderFaults", "WeirErrorRatioHigh", "WeirAvailabilityBurnFast", "WeirTenantAvailabilityBurnFast"},
            BURNS | {"WeirProviderOut", "WeirBreakerFlaps"},
        )  # fmt: skip
        out = {alert["labels"].get("provider") for alert in prometheus.get("/api/v1/alerts")["alerts"]}
        assert {"dead", "locked"} <= out, f"providers that are told of: {out}"
        fault(prometheus, "a process that is killed", once(gateway.process.kill), {"WeirDown", "WeirAbsent"})
    finally:
        for one in (gateway, prometheus):
            if one and one.process.poll() is None:
                one.process.kill()
            if one:
                one.process.wait()
        provider.shutdown()


if __name__ == "__main__":
    if len(sys.argv) != 3 or not os.access(sys.argv[1], os.X_OK):
        sys.exit(__doc__)
    try:
        main()
    except AssertionError as error:
        sys.exit(f"ops-live: {error}")
