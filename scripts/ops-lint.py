#!/usr/bin/env python3
"""What no linter knows about conf/alerts, conf/grafana and deploy. scripts/ops-check calls it, with PyYAML.

  ops-lint.py metrics      every metric that a rule or a dashboard names is one of src/telemetry/names.rs, with its labels
  ops-lint.py alerts       every alert has its texts, a runbook that is there, and a test in which it fires
  ops-lint.py dashboards   panels have ids, places, units and a data source that can be chosen
  ops-lint.py expressions URL    a Prometheus takes every expression of the dashboards
  ops-lint.py types FILE   writes the dashboards as TypeScript, for the compiler to hold against Grafana's own types
                           (node_modules beside it)
  ops-lint.py units        both systemd units say the same
  ops-lint.py manifests    kustomizations name all files beside them, and no others

Prints what is wrong, one line each, and exits with 1; or one line that says what was looked at.
"""

import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "conf/alerts/weir.rules.yml"
TESTS = ROOT / "conf/alerts/weir.test.yml"
DASHBOARDS = sorted((ROOT / "conf/grafana").glob("*.json"))

# What Grafana puts in place of its variables, as good as any.
VARIABLES = {
    "$__rate_interval": "5m",
    "$__range": "1h",
    "$__interval": "1m",
    "$job": ".*",
    "$tenant": "acme",
}
# Of Grafana's list of units, those in use.
UNITS = {"none", "short", "s", "bytes", "reqps", "percentunit", "currencyUSD"}
# Labels that Prometheus or its discovery add, and those of rules of ours.
FOREIGN = {"job", "instance", "le", "alertname", "alertstate", "__name__"}


def rules():
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from group["rules"]


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions():
    """(where, expression), with variables filled in."""
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        found = [(panel["title"], target["expr"]) for panel in panels(dashboard) for target in panel["targets"]]
        found += [(note["name"], note["expr"]) for note in dashboard["annotations"]["list"] if "expr" in note]
        for title, text in found:
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            yield f"{path.name}: {title}", text


def known():
    """Metric to labels, as src/telemetry/names.rs lists them; histograms with their suffixes."""
    source = (ROOT / "src/telemetry/names.rs").read_text()
    constants = dict(re.findall(r"const (\w+): &\[&str\] = &\[([^\]]*)\]", source))
    table = {}
    line = re.compile(r'^\s+\w+ = "([a-z_]+)", Kind::(\w+)[^,]*,\s*(&\[[^\]]*\]|[A-Z_]+),', re.M)
    for name, kind, labels in line.findall(source):
        labels = set(re.findall(r'"(\w+)"', constants.get(labels, labels)))
        suffixes = ["_bucket", "_sum", "_count"] if kind == "Histogram" else [""]
        for suffix in suffixes:
            table[name + suffix] = labels
    if len(table) < 60:
        sys.exit("src/telemetry/names.rs is no longer read right")
    return table


def metrics():
    wrong, seen = [], set()
    table = known()
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    texts = [(rule.get("record") or rule.get("alert"), rule["expr"]) for rule in rules()]
    for where, text in texts + list(expressions()):
        bare = re.sub(r'"[^"]*"', '""', text)
        for name in re.findall(r"(?<![\w:])(?:\w+:)*weir_[\w:]*|gen_ai_\w+", bare):
            if ":" in name:
                if name not in recorded:
                    wrong.append(f"{where}: nothing records {name}")
            elif name not in table:
                wrong.append(f"{where}: there is no metric {name}")
            else:
                seen.add(name)
        for name, matchers in re.findall(r"(?<![\w:])(weir_\w+|gen_ai_\w+)\{([^}]*)\}", text):
            for label in re.findall(r"(\w+)\s*[=!]~?", re.sub(r'"[^"]*"', "", matchers)):
                if label not in table.get(name, set()) | FOREIGN:
                    wrong.append(f"{where}: {name} has no label {label}")
    # A label that is summed by has to be one of some metric.
    every = set().union(*table.values()) | FOREIGN
    for where, text in texts + list(expressions()):
        for labels in re.findall(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)", text):
            for label in filter(None, (label.strip() for label in labels.split(","))):
                if label not in every:
                    wrong.append(f"{where}: no metric has a label {label}")
    return wrong, f"{len(texts)} rules and {len(DASHBOARDS)} dashboards use {len(seen)} series of names.rs"


def anchors(path):
    def anchor(heading):
        kept = (c for c in heading.lstrip("#").strip().lower() if c.isalnum() or c in " -_")
        return "".join(kept).replace(" ", "-")

    return {anchor(line) for line in path.read_text().splitlines() if line.startswith("#")}


def labels_of(expr, table):
    """What labels its alerts have: those that are summed by, those a recorded name says, else all of its metrics."""
    summed = {label.strip() for labels in re.findall(r"\bby\s*\(([^)]*)\)", expr) for label in labels.split(",")}
    recorded = {label for level in re.findall(r"(?<!\w)(\w+):weir_", expr) for label in level.split("_")}
    if summed or recorded:
        return summed | recorded
    every = [table.get(name, set()) for name in re.findall(r"weir_\w+", expr)]
    return set().union(*every) | {"job", "instance"}


def alerts():
    wrong, names = [], []
    table = known()
    for rule in rules():
        if "alert" not in rule:
            continue
        name = rule["alert"]
        names.append(name)
        if rule.get("labels", {}).get("severity") not in ("critical", "warning", "info"):
            wrong.append(f"{name} has no severity")
        texts = rule.get("annotations", {})
        for key in ("summary", "description", "runbook"):
            if not texts.get(key):
                wrong.append(f"{name} has no {key}")
        for label in re.findall(r"\$labels\.(\w+)", str(texts)):
            if label not in labels_of(rule["expr"], table):
                wrong.append(f"{name} says $labels.{label}, which it has not")
        file, _, heading = texts.get("runbook", "").partition("#")
        if not (ROOT / file).is_file():
            wrong.append(f"{name}: the runbook {file} is not there")
        elif heading not in anchors(ROOT / file):
            wrong.append(f"{name}: {file} has no heading {heading}")
    if len(names) != len(set(names)):
        wrong.append("two alerts have one name")
    fired, silent = set(), 0
    for test in yaml.safe_load(TESTS.read_text())["tests"]:
        for asked in test.get("promql_expr_test", []):
            if "ALERTS" not in asked["expr"]:
                continue
            samples = asked["exp_samples"]
            silent += not samples
            fired |= {name for sample in samples for name in re.findall(r'alertname="(\w+)"', sample["labels"])}
    wrong += [f"{name} fires in no test" for name in sorted(set(names) - fired)]
    wrong += [f"a test names {name}, which is no alert" for name in sorted(fired - set(names))]
    return wrong, f"{len(names)} alerts, each fires in a test; {silent} moments at which none does"


def dashboards():
    wrong, count, uids = [], 0, set()
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        name = path.name
        if path.stem != dashboard["uid"] or dashboard["uid"] in uids:
            wrong.append(f"{name}: its uid is {dashboard['uid']}")
        uids.add(dashboard["uid"])
        if dashboard["schemaVersion"] < 42 or "id" in dashboard or "__inputs" in dashboard:
            wrong.append(f"{name}: not as it should be kept: schemaVersion, id or __inputs")
        variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
        if variables.get("datasource", {}).get("type") != "datasource":
            wrong.append(f"{name}: no data source to choose")
        ids, places = set(), set()
        for panel in dashboard["panels"]:
            where = f"{name}: {panel.get('title')}"
            if panel["id"] in ids:
                wrong.append(f"{where}: its id is taken")
            ids.add(panel["id"])
            grid = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(grid["x"], grid["x"] + grid["w"])
                for y in range(grid["y"], grid["y"] + grid["h"])
            }
            if cells & places or grid["x"] + grid["w"] > 24:
                wrong.append(f"{where}: lies on another panel, or beside the page")
            places |= cells
        for panel in panels(dashboard):
            count += 1
            where = f"{name}: {panel['title']}"
            sources = [panel["datasource"]] + [target["datasource"] for target in panel["targets"]]
            if any(source != {"type": "prometheus", "uid": "${datasource}"} for source in sources):
                wrong.append(f"{where}: another data source")
            unit = panel["fieldConfig"]["defaults"].get("unit")
            if panel["type"] in ("timeseries", "stat", "bargauge") and unit not in UNITS:
                wrong.append(f"{where}: unit {unit}")
            for target in panel["targets"]:
                expr = target["expr"]
                used = set(re.findall(r"\$(\w+)", expr)) - {"__rate_interval", "__range", "__interval"}
                if used - set(variables):
                    wrong.append(f"{where}: no variable {used - set(variables)}")
                # Lines by tenant are of ten tenants at most, of one, or bars of a moment.
                by_tenant = re.search(r"by \([^)]*\b(tenant|user|key)\b", expr)
                if by_tenant and not (target.get("instant") and re.search(r"\b(top|bottom)k\(", expr)):
                    wrong.append(f"{where}: a line for each tenant")
    return wrong, f"{count} panels in {len(DASHBOARDS)} dashboards"


def types(file):
    """Options of panels are each their plugin's, so they are said apart from the dashboard."""
    plugins = {"stat": "stat", "timeseries": "timeseries", "bargauge": "bargauge", "table": "table"}
    plugins["state-timeline"] = "statetimeline"
    raw = "./node_modules/@grafana/schema/dist/types/raw"
    lines = [f"import type * as dashboard from '{raw}/dashboard/x/types.gen';"]
    lines += [f"import type * as {one} from '{raw}/composable/{one}/panelcfg/x/types.gen';" for one in plugins.values()]
    # What JSON has for the members of an enum are their texts.
    lines.append(
        "type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T"
        " : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;"
    )

    def said(kind, value):
        lines.append(f"export const v{len(lines)}: Plain<{kind}> = {json.dumps(value)};")

    for path in DASHBOARDS:
        whole = json.loads(path.read_text())
        for panel in panels(whole):
            lines.append(f"// {path.name}: {panel['title']}")
            plugin = plugins[panel["type"]]
            said(f"Partial<{plugin}.Options>", panel["options"])
            custom = panel["fieldConfig"]["defaults"].get("custom")
            if custom is not None:
                said(f"Partial<{plugin}.FieldConfig>", custom)
        # These Grafana writes and its types do not know.
        whole["annotations"] = {"list": []}
        for variable in whole["templating"]["list"]:
            variable.pop("definition", None)
        lines.append(f"// {path.name}")
        said("dashboard.Dashboard", whole)
    Path(file).write_text("\n".join(lines) + "\n")
    return [], f"{len(lines)} lines"


def ask(url, path, **query):
    try:
        with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(query)}", timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def check_expressions(url):
    wrong, count, filled, empty = [], 0, 0, []
    for where, text in expressions():
        count += 1
        answer = ask(url, "/api/v1/query", query=text)
        if answer["status"] != "success":
            wrong.append(f"{where}: {answer.get('error')}: {text}")
        elif answer["data"]["result"]:
            filled += 1
        else:
            empty.append(where)
    if "-v" in sys.argv:
        print("\n".join(f"no data: {where}" for where in empty))
    return wrong, f"{count} expressions taken, {filled} of them with data"


def units():
    """Settings of [Service], without what has to differ."""

    def settings(path):
        text = path.read_text().split("\n[Service]\n")[1].split("\n[Install]\n")[0]
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return [line for line in lines if not line.startswith(("ExecStart=", "Restart=", "RestartSec="))]

    one, other = (settings(ROOT / "deploy/systemd" / name) for name in ("weir.service", "weir-upgrade@.service"))
    differ = sorted(set(one) ^ set(other))
    return [f"only in one unit: {line}" for line in differ], f"{len(one)} settings are the same in both units"


def manifests():
    wrong, count = [], 0
    apart = {"secret.example.yaml", "adapter-rule.yaml"}  # said in them: not applied
    for path in sorted((ROOT / "deploy/kubernetes").rglob("kustomization.yaml")):
        kustomization = yaml.safe_load(path.read_text())
        named = list(kustomization.get("resources", []))
        named += [file for one in kustomization.get("configMapGenerator", []) for file in one["files"]]
        wrong += [f"{path}: {name} is not there" for name in named if not (path.parent / name).exists()]
        beside = {file.name for file in path.parent.glob("*.yaml")} - apart - {"kustomization.yaml"}
        wrong += [f"{path}: does not name {name}" for name in sorted(beside - set(named))]
        count += len(named)
    return wrong, f"{count} resources named, all there"


CHECKS = {
    "metrics": metrics,
    "alerts": alerts,
    "dashboards": dashboards,
    "expressions": lambda: check_expressions(sys.argv[2]),
    "types": lambda: types(sys.argv[2]),
    "units": units,
    "manifests": manifests,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    wrong, summary = CHECKS[sys.argv[1]]()
    print("\n".join(wrong) if wrong else summary)
    sys.exit(bool(wrong))
