#!/usr/bin/env python3
"""Builds conf/models.tsv: what is known of the models, and what they cost.

    scripts/build-models.py [--wheels DIR] [--date YYYY-MM-DD] [--out FILE]

Facts are read from two public tables, shipped as PyPI packages (both MIT): `genai-prices` and
`litellm`. Without `--wheels` they are downloaded with pip into a temporary directory. Nothing of
them is run: one is JSON, the other is read as a syntax tree.

Rules, in this order:
1. The operator of the service is the catalogue (`azure/gpt-4o` is not `openai/gpt-4o`).
2. A price comes from genai-prices where it names the model exactly and says when or where it was
   checked, else from litellm, else from genai-prices. Where both have one and differ, the row is
   printed.
3. Prices by hour: the higher one (what the vendor calls the standard or peak price).
4. Perplexity's fee per request is that of its default, the low search context.
5. A row whose every price is zero is no price, unless its name ends in `:free`; nor is one of over
   1000 USD per million tokens, which is a slip of its source; a cache read that costs more than
   reading afresh is left out.
6. Images are priced by their tokens where a source has that, else each. A search of the web costs
   what it does at the medium size of context. Of rankings a query is a search unit, our `request`.
7. A dated name is left out where it says nothing that its undated name does not.
8. Prices announced for a later day are kept with their day.
9. Limits and capabilities come from litellm, the context window else from genai-prices. Where a
   window is the sum of an input and an output limit, the sum counts.

All numbers are exact decimals from the text of the tables to the text of ours. A number with binary
noise (7.000000000000001e-07) is rounded to 10^-12 USD per token, the unit of the gateway.
"""

import argparse
import ast
import datetime
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile
from decimal import Decimal

MILLION = Decimal(1_000_000)

# The catalogue of each of litellm's provider names.
LITELLM = {
    "openai": "openai", "text-completion-openai": "openai", "anthropic": "anthropic",
    "azure": "azure", "azure_text": "azure", "azure_ai": "azure", "gemini": "gemini",
    "bedrock": "bedrock", "bedrock_converse": "bedrock", "mistral": "mistral", "codestral": "mistral",
    "deepseek": "deepseek", "xai": "xai", "groq": "groq", "cohere": "cohere", "cohere_chat": "cohere",
    "openrouter": "openrouter", "together_ai": "together", "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks", "cerebras": "cerebras", "perplexity": "perplexity",
    "moonshot": "moonshot", "deepinfra": "deepinfra", "nvidia_nim": "nvidia",
}
# Prefixes of litellm's keys that are not part of the vendor's own name of the model.
PREFIXES = (
    "azure/", "azure_ai/", "gemini/", "vertex_ai/", "bedrock/", "bedrock_converse/", "mistral/",
    "codestral/", "deepseek/", "xai/", "groq/", "cohere/", "cohere_chat/", "openrouter/", "together_ai/",
    "fireworks_ai/", "cerebras/", "perplexity/", "moonshot/", "deepinfra/", "nvidia_nim/", "openai/",
    "text-completion-openai/", "anthropic/",
)
# The catalogue of each of genai-prices' providers.
GENAI = {
    "openai": "openai", "anthropic": "anthropic", "azure": "azure", "aws": "bedrock", "mistral": "mistral",
    "deepseek": "deepseek", "x-ai": "xai", "groq": "groq", "cohere": "cohere", "openrouter": "openrouter",
    "together": "together", "fireworks": "fireworks", "cerebras": "cerebras", "perplexity": "perplexity",
    "moonshotai": "moonshot",
}
MODES = {"chat", "responses", "completion", "embedding", "rerank", "image_generation", "image_edit",
         "audio_transcription", "audio_speech"}

LITELLM_FIELDS = {
    "input": "input_cost_per_token",
    "cached": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "output": "output_cost_per_token",
    "reasoning": "output_cost_per_reasoning_token",
    "audio_input": "input_cost_per_audio_token",
    "audio_output": "output_cost_per_audio_token",
    "image_input": "input_cost_per_image_token",
    "image_output": "output_cost_per_image_token",
    "character": "input_cost_per_character",
}
# USD each, not per token.
LITELLM_EACH = {"image": "output_cost_per_image", "second": "input_cost_per_second"}
# What all is multiplied by, by region.
LITELLM_FACTORS = {
    "eu": "regional_processing_uplift_multiplier_eu", "us": "regional_processing_uplift_multiplier_us",
    "fedramp": "fedramp_uplift_multiplier", "regional": "regional_endpoint_uplift_multiplier",
}
GENAI_FIELDS = {
    "input_mtok": "input", "cache_read_mtok": "cached", "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write", "cache_write_1h_mtok": "cache_write_1h", "output_mtok": "output",
    "output_reasoning_mtok": "reasoning", "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output", "requests_kcount": "request", "input_image_mtok": "image_input",
    "output_image_mtok": "image_output", "web_searches_kcount": "web_search",
}
CLASSES = ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning", "audio_input",
           "audio_output", "image_input", "image_output", "image", "second", "character", "web_search", "request")
# Those in USD each; the others are in USD per million.
EACH = {"image", "second", "web_search", "request"}
SERVICES = {"batches": "batch", "flex": "flex", "priority": "priority", "fast": "fast", "ultrafast": "ultrafast",
            "balanced": "balanced", "decisions": "decisions"}

# The models of `weir demo`: invented, so that a demonstration shows costs.
SIMULATOR = """\
sim-1\t128000\t16384\trvtj\t- input=1 cached=0.1 cache_write=1.25 cache_write_1h=2 output=2
sim-1-mini\t128000\t16384\trvtj\t- input=0.1 cached=0.01 output=0.4
sim-1-long\t1000000\t64000\trvtj\t- input=1 cached=0.1 output=2 >200000 input=2 cached=0.2 output=3
sim-embed\t8192\t\t\t- input=0.02
"""

# Anthropic's models that litellm no longer lists: most output tokens, by Anthropic's documentation.
CLAUDE_OUTPUT = (
    (r"claude-(?:2|v1|instant)", 4096), (r"claude-3-(?:haiku|opus|sonnet)", 4096), (r"claude-3-5", 8192),
    (r"claude-3-7", 64000), (r"claude-sonnet-4(?:-0)?$", 64000), (r"claude-opus-4(?:-[01])?$", 32000),
)

DATED = re.compile(r"(?:-20\d\d-\d\d-\d\d|-20\d{6}|@20\d{6}|-latest)$")

# -- reading ----------------------------------------------------------------------------------

def wheel(directory, package):
    found = sorted(pathlib.Path(directory).glob(package.replace("-", "_") + "-*.whl"))
    if not found:
        sys.exit(f"{package}: no wheel in {directory}")
    return found[-1], found[-1].name.split("-")[1]


def tree_value(node):
    """A literal, or a call as a dict of its arguments."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [tree_value(x) for x in node.elts]
    if isinstance(node, ast.Dict):
        return {tree_value(k): tree_value(v) for k, v in zip(node.keys, node.values)}
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        arguments = [tree_value(a) for a in node.args]
        if name == "Decimal":
            return Decimal(arguments[0])
        if name == "date":
            return datetime.date(*arguments)
        return {"_": name, **{k.arg: tree_value(k.value) for k in node.keywords}}
    raise ValueError(ast.dump(node))


def read_genai(path):
    with zipfile.ZipFile(path) as z:
        tree = ast.parse(z.read("genai_prices/data.py").decode())
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and node.target.id == "providers":
            return {p["id"]: p for p in tree_value(node.value)}
    raise ValueError("genai-prices: no table")


def read_litellm(path):
    with zipfile.ZipFile(path) as z:
        text = z.read("litellm/model_prices_and_context_window_backup.json").decode()
    table = json.loads(text, parse_float=Decimal)
    table.pop("sample_spec", None)
    return table


# -- numbers: Decimal throughout --------------------------------------------------------------

def per_million(per_token):
    """USD per token to USD per million, rounded to the gateway's unit."""
    if not isinstance(per_token, (int, Decimal)) or per_token < 0:
        return None
    return rounded(Decimal(per_token) * MILLION)


def rounded(number):
    """Both tables have rates that went through a float."""
    return number.quantize(Decimal("0.000001")).normalize()


def each(usd):
    """USD, rounded to the gateway's unit."""
    if not isinstance(usd, (int, Decimal)) or usd < 0:
        return None
    return Decimal(usd).quantize(Decimal("0.000000000001")).normalize()


def text(number):
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


# -- prices: {"rates": {...}, "tiers": {above: {...}}, "service": {name: {"rates", "tiers"}}} ----

def litellm_column(row, suffix):
    """One service tier of a row: its rates and its tiers by prompt size."""
    column = {"rates": {}, "tiers": {}}
    for ours, theirs in LITELLM_FIELDS.items():
        value = per_million(row.get(theirs + suffix))
        if value is not None:
            column["rates"][ours] = value
        pattern = re.compile(re.escape(theirs) + r"_above_(\d+)k_tokens" + re.escape(suffix) + "$")
        for key, number in row.items():
            if (hit := pattern.match(key)) and (value := per_million(number)) is not None:
                column["tiers"].setdefault(int(hit[1]) * 1000, {})[ours] = value
    return column


def litellm_price(row, catalogue):
    column = litellm_column(row, "")
    rates = column["rates"]
    for ours, theirs in LITELLM_EACH.items():
        if (value := each(row.get(theirs))) is not None:
            rates[ours] = value
    mode = row.get("mode")
    if mode == "audio_transcription" and not rates.get("second"):
        rates["second"] = each(row.get("output_cost_per_second"))
    if rates.get("second") is None or mode != "audio_transcription":
        rates.pop("second", None)  # elsewhere it is hired by the second, or makes a video
    query = each(row.get("input_cost_per_query") if mode == "rerank" else row.get("input_cost_per_request"))
    if query:
        rates["request"] = query
    search = each((row.get("search_context_cost_per_query") or {}).get("search_context_size_medium"))
    if search and catalogue != "perplexity":
        rates["web_search"] = search
    by_unit = mode in ("rerank", "image_generation", "image_edit", "audio_transcription", "audio_speech")
    if "input" not in rates and not by_unit:
        return None
    if by_unit:
        # A rate of nothing says that another unit is billed.
        for name in [name for name, value in rates.items() if not value]:
            del rates[name]
    if not rates:
        return None
    if rates.get("cache_write") == 0:
        del rates["cache_write"]  # said of vendors that do not charge a surcharge
    if catalogue == "perplexity" and "sonar" in str(row.get("_key")):
        low = (row.get("search_context_cost_per_query") or {}).get("search_context_size_low")
        if low:
            rates["request"] = Decimal(low).normalize()
    service = {}
    for theirs, ours in SERVICES.items():
        found = litellm_column(row, "_" + theirs)
        if found["rates"]:
            service[ours] = found
    regions = {ours: rounded(Decimal(row[theirs])) for ours, theirs in LITELLM_FACTORS.items()
               if isinstance(row.get(theirs), (int, Decimal)) and row[theirs] != 1}
    return {"from": None, **tidy(column), "service": {k: tidy(v) for k, v in service.items()}, "regions": regions}


def genai_column(price):
    column = {"rates": {}, "tiers": {}}
    for theirs, ours in GENAI_FIELDS.items():
        value = price.get(theirs)
        if value is None:
            continue
        scale = Decimal(1000) if ours in EACH else Decimal(1)
        if isinstance(value, dict):
            column["rates"][ours] = rounded(value["base"] / scale)
            for tier in value["tiers"]:
                column["tiers"].setdefault(tier["start"], {})[ours] = rounded(tier["price"] / scale)
        else:
            column["rates"][ours] = rounded(value / scale)
    return tidy(column)


def tidy(column):
    """Leaves out what the fallbacks say anyway, and slips."""
    rates = column["rates"]
    if "image_output" in rates:
        rates.pop("image", None)
        # Older models of images do not tell them from text.
        rates.setdefault("output", rates["image_output"])
    for detail, whole in (("image_input", "input"), ("image_output", "output")):
        if detail in rates and rates[detail] == rates.get(whole):
            del rates[detail]
    if "cached" in rates and "input" in rates and rates["cached"] > rates["input"]:
        del rates["cached"]
    for detail, whole in (("reasoning", "output"), ("cache_write_1h", "cache_write")):
        varies = any(detail in tier for tier in column["tiers"].values())
        if detail in rates and rates[detail] == rates.get(whole) and not varies:
            del rates[detail]
    for tier in column["tiers"].values():
        if "reasoning" in tier and tier["reasoning"] == tier.get("output"):
            del tier["reasoning"]
    column["tiers"] = {above: tier for above, tier in sorted(column["tiers"].items()) if tier}
    return column


def genai_prices(model, catalogue):
    """Dated prices, oldest first; the variants hold for the newest."""
    listed = model.get("prices")
    if not listed:
        return []
    if not isinstance(listed, list):
        listed = [{"prices": listed}]
    dated, hourly = {}, []
    for entry in listed:
        constraint = entry.get("constraint")
        column = genai_column(entry["prices"])
        if constraint is None:
            dated[None] = column
        elif constraint["_"] == "StartDateConstraint":
            dated[constraint["start_date"]] = column
        else:
            hourly.append(column)
    days = sorted(dated, key=lambda d: d or datetime.date.min)
    for column in hourly:
        if column["rates"].get("input", 0) >= dated[days[-1]]["rates"].get("input", 0):
            dated[days[-1]] = column
    prices = []
    for day, after in zip(days, [*days[1:], None]):
        if "input" not in dated[day]["rates"]:
            continue
        if catalogue == "perplexity":
            for fee in ("request", "web_search"):
                dated[day]["rates"].pop(fee, None)  # theirs is the high search context: rule 4
        prices.append({"from": day, **dated[day], "service": genai_variants(model, after)})
    return prices


def genai_variants(model, before):
    """The newest column of every service tier that began before that day."""
    service, began = {}, {}
    for variant in model.get("price_variants") or []:
        when, constraint = variant["when"], variant.get("constraint") or {}
        name = when.get("processing") or when.get("service_tier") or when.get("speed")
        start = constraint.get("start_date") or datetime.date.min
        column = genai_column(variant["prices"])
        if not name or name == "default" or len(when) != 1 or not column["rates"]:
            continue
        if (before is None or start < before) and start >= began.get(name, datetime.date.min):
            service[name], began[name] = column, start
    return service


def current(prices, today):
    """The price that holds on the day of the build."""
    return next((p for p in reversed(prices) if p["from"] is None or p["from"] <= today), None)


def is_price(name, price):
    rates = price["rates"]
    of_text = [value for kind, value in rates.items() if kind not in EACH]
    return (any(rates.values()) or name.endswith(":free")) and max(of_text, default=0) <= 1000


# -- matching ---------------------------------------------------------------------------------

def matches(clause, name):
    kind = clause["_"]
    if kind == "ClauseEquals":
        return name == clause["equals"].lower()
    if kind == "ClauseStartsWith":
        return name.startswith(clause["starts_with"].lower())
    if kind == "ClauseEndsWith":
        return name.endswith(clause["ends_with"].lower())
    if kind == "ClauseContains":
        return clause["contains"].lower() in name
    if kind == "ClauseRegex":
        return re.search(clause["regex"], name) is not None
    parts = clause.get("or_") or clause.get("and_")
    return (any if kind == "ClauseOr" else all)(matches(p, name) for p in parts)


def exact_names(model):
    """The id and every name the row says it is equal to."""
    names = {model["id"]}
    clause = model["match"]
    for part in clause.get("or_") or [clause]:
        if part["_"] == "ClauseEquals":
            names.add(part["equals"])
    return names


def genai_rows(provider, catalogue):
    """By exact name: (model, is that its id)."""
    rows = {}
    for model in provider["models"]:
        for name in exact_names(model):
            rows.setdefault(local_name(catalogue, name), model)
    for model in provider["models"]:
        rows[local_name(catalogue, model["id"])] = model
    return rows


def local_name(catalogue, name):
    if catalogue == "fireworks":
        name = name.removeprefix("accounts/fireworks/models/")
    return name


# -- capabilities -----------------------------------------------------------------------------

def thinking(catalogue, name, row):
    """How a Claude is told to think: `a`daptive, by `b`udget, `n`ot at all; and which of OpenAI's do not."""
    if "claude" not in name:
        own = catalogue in ("openai", "azure")
        return "n" if own and re.match(r"(?:ft:)?(?:gpt-3\.?5|gpt-4(?:$|[-.o:])|gpt-5-chat|chatgpt-4o)", name) else ""
    if row and row.get("supports_adaptive_thinking"):
        return "a"
    if re.search(r"claude-(?:2|v1|v2|instant|3-(?!7)|3\.5|3\.[05]|3$)", name):
        return "n"
    if re.search(r"claude-(?:3[-.]7|(?:opus|sonnet|haiku)-4(?:[-.][015]|$|-20|@|:)|4(?:\.[15])?-(?:opus|sonnet))", name):
        return "b"
    return "a"


def flags(catalogue, name, row):
    how = thinking(catalogue, name, row)
    if row is None:
        return "?" + how
    known = {"r": "supports_reasoning", "v": "supports_vision", "t": "supports_function_calling",
             "j": "supports_response_schema"}
    return "".join(f for f, key in known.items() if row.get(key) and (f, how) != ("r", "n")) + how


def whole(value):
    """litellm has limits as numbers, floats and text."""
    return int(value) if isinstance(value, (int, Decimal)) and value > 0 else None


def limits(row, model):
    inputs, outputs = (whole(row.get(k)) for k in ("max_input_tokens", "max_output_tokens"))
    window = model.get("context_window") if model else None
    if inputs and outputs and window == inputs + outputs:
        return window, outputs
    if row.get("mode") == "embedding":
        outputs = None
    return inputs or window, outputs


# -- putting together -------------------------------------------------------------------------

def litellm_rows(table):
    """By catalogue and local name."""
    rows = {}
    for key, row in table.items():
        provider = str(row.get("litellm_provider"))
        catalogue = "vertex" if provider.startswith("vertex_ai") else LITELLM.get(provider)
        if catalogue is None or row.get("mode") not in MODES or "/ft:" in key or "-x-" in key:
            continue
        name = key
        for prefix in PREFIXES:
            if name.startswith(prefix):
                name = name.removeprefix(prefix)
                break
        row["_key"] = key
        rows.setdefault(catalogue, {}).setdefault(local_name(catalogue, name), row)
    return rows


def headline(price):
    """What two sources are compared by."""
    return {k: price["rates"].get(k) for k in ("input", "cached", "cache_write", "output") if k in price["rates"]}


def differ(ours, theirs):
    a, b = headline(ours), headline(theirs)
    return {k: (a[k], b[k]) for k in a.keys() & b.keys() if a[k] != b[k]}


def combine(name, catalogue, row, exact, loose, today, report):
    """The prices of one model by rule 2."""
    theirs = litellm_price(row, catalogue) if row else None
    theirs = theirs if theirs and is_price(name, theirs) else None
    dated = [p for p in genai_prices(exact or loose or {}, catalogue) if is_price(name, p)]
    now = current(dated, today)
    if now is None or theirs is None:
        return dated or ([theirs] if theirs else [])
    unequal = differ(now, theirs)
    if not unequal:
        fill(now, theirs)
        return dated
    checked = exact and (exact.get("price_comments") or len(dated) > 1 or catalogue == "azure")
    report.append((catalogue, name, unequal, "genai-prices" if checked else "litellm"))
    return dated if checked else [theirs]


def fill(newest, theirs):
    """Classes, tiers and services that only the other table has."""
    for key, value in theirs["rates"].items():
        newest["rates"].setdefault(key, value)
    for service, column in theirs["service"].items():
        newest["service"].setdefault(service, column)
    if not newest["tiers"]:
        newest["tiers"] = theirs["tiers"]
    newest["regions"] = theirs.get("regions", {})
    tidy(newest)


def google(provider):
    """One list of theirs is two services: Google AI Studio has the Gemini models only."""
    gemini = {"models": [m for m in provider["models"] if m["id"].startswith(("gemini", "gemma", "text-embedding"))]}
    return {"gemini": gemini, "vertex": provider}


def huggingface(genai):
    """The router's names: `model:provider`."""
    models = []
    for key, provider in genai.items():
        if key.startswith("huggingface_"):
            suffix = ":" + key.removeprefix("huggingface_")
            for model in provider["models"]:
                models.append({**model, "id": model["id"] + suffix, "match": {"_": "ClauseEquals", "equals": model["id"] + suffix}})
    return {"models": models}


def build(genai, litellm, today):
    by_catalogue = {ours: genai[theirs] for theirs, ours in GENAI.items()}
    by_catalogue |= google(genai["google"]) | {"huggingface": huggingface(genai)}
    rows, report = litellm_rows(litellm), []
    table = {}
    for catalogue in sorted(by_catalogue.keys() | rows.keys()):
        provider = by_catalogue.get(catalogue, {"models": []})
        exact, listed = genai_rows(provider, catalogue), rows.get(catalogue, {})
        models = {}
        for name in sorted(exact.keys() | listed.keys()):
            row, model = listed.get(name), exact.get(name)
            loose = None if model else next((m for m in provider["models"] if matches(m["match"], name.lower())), None)
            if row is None and (respelt(name, exact) or pattern_like(name)):
                continue
            prices = combine(name, catalogue, row, model, loose, today, report)
            context, output = limits(row or {}, model)
            models[name] = (context, output or claude_output(name), flags(catalogue, name, row), prices)
        table[catalogue] = undated(models)
    return table, report


def respelt(name, names):
    """A name with dashes for the dots of the real one."""
    return "." not in name and any("." in n and n.replace(".", "-") == name for n in names)


def pattern_like(name):
    """The beginning of a name, not a name."""
    return name.startswith("ft:") or name.endswith("-") or ".ft-" in name


def claude_output(name):
    name = DATED.sub("", name)
    return next((tokens for pattern, tokens in CLAUDE_OUTPUT if re.match(pattern, name)), None)


def undated(models):
    """Rule 6."""
    kept = {}
    for name, entry in models.items():
        base = models.get(DATED.sub("", name))
        if DATED.search(name) and base and says_nothing_new(entry, base):
            continue
        kept[name] = entry
    return kept


def says_nothing_new(entry, base):
    prices = lambda e: [line(p) for p in e[3]]
    return (not entry[3] or prices(entry) == prices(base) or not differ(entry[3][-1], base[3][-1])
            if base[3] else not entry[3])


# -- writing ----------------------------------------------------------------------------------

def rates_text(rates):
    return " ".join(f"{k}={text(rates[k])}" for k in CLASSES if k in rates)


def column_text(column):
    parts = [rates_text(column["rates"])]
    parts += [f">{above} {rates_text(tier)}" for above, tier in column["tiers"].items()]
    return " ".join(p for p in parts if p)


def line(price):
    parts = [price["from"].isoformat() if price["from"] else "-", column_text(price)]
    parts += [f"@{region}={text(factor)}" for region, factor in sorted(price.get("regions", {}).items())]
    parts += [f"/{name} {column_text(column)}" for name, column in sorted(price["service"].items())]
    return " ".join(parts)


def render(table, versions, date):
    out = [f"# Models and list prices, built {date} by scripts/build-models.py from the facts in",
           f"# {versions}. Not edited by hand.",
           "# [catalogue], then a line a model: name, context tokens, most output tokens, capabilities, prices oldest first.",
           "# Capabilities: r easoning, v ision, t ools, j son_schema; thinking: a daptive, b udget, n one; ? unknown.",
           "# A price: the day it holds from (- since ever), USD per million tokens by class (image, second, web_search,",
           "# request: USD each), >N for prompts above N tokens, @region for a factor on all, /name for a service tier."]
    head, out = out, []
    for catalogue, models in sorted(table.items()):
        if catalogue == "simulator":
            continue
        lines = []
        for name, (context, output, flag, prices) in sorted(models.items()):
            if any(c.isspace() for c in name) or not (prices or context):
                continue
            lines.append("\t".join([name, str(context or ""), str(output or ""), flag, *map(line, prices)]))
        out += [f"[{catalogue}]", *lines] if lines else []
    body = "\n".join([*out, "[simulator]", SIMULATOR])
    # The same day may see two tables: the version tells them apart.
    version = f"version\t{date}-{hashlib.sha256(body.encode()).hexdigest()[:8]}"
    return "\n".join([*head, version, body])


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--wheels", help="directory with both wheels")
    args.add_argument("--date", default=datetime.date.today().isoformat())
    args.add_argument("--out", default=str(pathlib.Path(__file__).parent.parent / "conf" / "models.tsv"))
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if not args.wheels:
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", scratch,
                            "genai-prices", "litellm"], check=True)
        directory = args.wheels or scratch
        (genai_file, genai_version), (litellm_file, litellm_version) = (wheel(directory, p) for p in ("genai-prices", "litellm"))
        table, report = build(read_genai(genai_file), read_litellm(litellm_file), datetime.date.fromisoformat(args.date))
    versions = f"genai-prices {genai_version} and litellm {litellm_version}"
    pathlib.Path(args.out).write_text(render(table, versions, args.date))
    for catalogue, name, unequal, taken in report:
        said = ", ".join(f"{k} {text(a)} or {text(b)}" for k, (a, b) in sorted(unequal.items()))
        print(f"{catalogue}/{name}: genai-prices or litellm: {said}; taken: {taken}")
    for catalogue, models in table.items():
        priced = sum(1 for m in models.values() if m[3])
        print(f"{catalogue}: {len(models)} models, {priced} priced", file=sys.stderr)


if __name__ == "__main__":
    main()
