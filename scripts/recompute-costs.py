#!/usr/bin/env python3
"""Recomputes the costs of exported rows from the price table, without any of the gateway's code.

    scripts/recompute-costs.py EXPORT.json [conf/models.tsv] [--map NAME=CATALOGUE] [--region NAME=REGION]

EXPORT.json is what `weir ledger export --format json` writes: a list of rows, an object with `data`, or a row
a line. Rows whose model the table does not list (an operator's own price), and those without a cost, are
counted; all others must cost what is computed here, to the pico-USD. Differences are printed; exit code 1
if there is any, or if no row could be compared.

`--map` says which catalogue of the table a provider of the configuration has, where its name is another;
`--region` where it stands, for the factors of regions. `--version` compares only rows of that price version.

The table is read as its head explains. All arithmetic is in decimals of 60 digits.
"""

import argparse
import datetime
import decimal
import json
import pathlib
import re
import sys
from decimal import ROUND_FLOOR, Decimal

decimal.getcontext().prec = 60
EACH = {"image", "second", "web_search", "request"}
PICO = Decimal(10) ** 12
MILLION = Decimal(10) ** 6
REGIONS = ("global.", "us.", "eu.", "apac.", "jp.", "au.", "ca.", "us-gov.", "in.")
PATHS = ("accounts/fireworks/models/", "publishers/google/models/", "models/")


def read_table(path):
    """catalogue -> model -> [(first day, price)], the newest first."""
    table, models = {}, None
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith("["):
            models = table.setdefault(line[1:-1], {})
        elif "\t" in line and not line.startswith(("#", "version\t")):
            name, _context, _output, _flags, *prices = line.split("\t")
            models[name] = sorted((read_price(price) for price in prices), key=lambda p: p[0], reverse=True)
    return table


def read_price(text):
    first, *words = text.split(" ")
    day = datetime.date.min if first == "-" else datetime.date.fromisoformat(first)
    price = {"regions": {}, "standard": new_column(), "service": {}}
    column, rates = price["standard"], price["standard"]["rates"]
    for word in words:
        if word.startswith("@"):
            region, factor = word[1:].split("=")
            price["regions"][region] = Decimal(factor)
        elif word.startswith("/"):
            column = price["service"].setdefault(word[1:].lower(), new_column())
            rates = column["rates"]
        elif word.startswith(">"):
            rates = {}
            column["tiers"].append((int(word[1:]), rates))
        else:
            name, number = word.split("=")
            # In pico-USD for one.
            rates[name] = Decimal(number) * PICO / (1 if name in EACH else MILLION)
    return day, price


def new_column():
    return {"rates": {}, "tiers": []}


def at(column, prompt):
    rates = dict(column["rates"])
    for above, tier in column["tiers"]:
        if prompt > above:
            rates |= tier
    return rates


def find(models, name):
    """A name, else what it is a case of."""
    while name:
        if name in models:
            return models[name]
        shorter = shorten(name)
        if shorter is None:
            return models.get(name + "-latest")
        name = shorter
    return None


def shorten(name):
    if name.startswith("ft:"):
        base, colon, _ = name[3:].partition(":")
        return "ft:" + base if colon else None
    if name.startswith("arn:"):
        return name[4:].rpartition("/")[2] if "/" in name else None
    for region in REGIONS:
        if name.startswith(region):
            return name[len(region):]
    for mark in "@:":
        if mark in name:
            return name.rpartition(mark)[0]
    if name.endswith("-latest"):
        return name[:-len("-latest")]
    if dated := re.fullmatch(r"(.+)-20(?:\d\d-\d\d-\d\d|\d{6})", name):
        return dated[1]
    for path in PATHS:
        if name.startswith(path):
            return name[len(path):]
    return None


def charge(rates, usage):
    """Pico-USD, or None where something that was used has no rate."""
    use = {name: int(count) for name, count in usage.items() if count}
    if "search_units" in use:
        return use["search_units"] * rates["request"] if "request" in rates else None
    if not rates:
        return None
    inputs = ("fresh_input", "cached", "cache_write", "cache_write_1h", "audio_input", "image_input")
    outputs = ("visible_output", "reasoning", "audio_output", "image_output")
    has_tokens = any(name in use for name in inputs + outputs)
    by_image = "images" in use and "image" in rates and (
        "image_output" not in rates or not ("image_output" in use or "visible_output" in use))
    by_second = "audio_seconds" in use and "second" in rates
    by_character = "characters" in use and "character" in rates
    free = Decimal(0) if by_image or by_second or by_character else None

    def first(*choices):
        return next((choice for choice in choices if choice is not None), None)

    plain_in = first(rates.get("input"), free)
    plain_out = first(rates.get("output"), free)
    write = first(rates.get("cache_write"), plain_in)
    no_unit = Decimal(0) if has_tokens else None
    each = {
        "fresh_input": plain_in,
        "cached": first(rates.get("cached"), plain_in),
        "cache_write": write,
        "cache_write_1h": first(rates.get("cache_write_1h"), write),
        "audio_input": first(rates.get("audio_input"), Decimal(0) if by_second else plain_in),
        "image_input": first(rates.get("image_input"), plain_in),
        "visible_output": plain_out,
        "reasoning": first(rates.get("reasoning"), plain_out),
        "audio_output": first(rates.get("audio_output"), plain_out),
        "image_output": first(rates.get("image_output"), Decimal(0) if by_image else plain_out),
        "images": rates["image"] if by_image else no_unit,
        "audio_seconds": rates["second"] if by_second else no_unit,
        "characters": rates["character"] if by_character else no_unit,
        "web_searches": rates.get("web_search"),
        "upstream_cost_pico_usd": Decimal(0),
    }
    total = rates.get("request", Decimal(0))
    for name, count in use.items():
        if each[name] is None:
            return None
        total += count * each[name]
    return total


def factor(regions, region):
    if region is None or not regions:
        return Decimal(1)
    begins = [name for name in regions if region.startswith(name + "-")]
    if region in regions:
        return regions[region]
    if begins:
        return regions[max(begins, key=len)]
    return regions.get("regional", Decimal(1)) if region != "global" else Decimal(1)


def cost(prices, usage, tier, day, region):
    price = next((price for first, price in prices if first <= day), None)
    if price is None:
        return None
    inputs = ("fresh_input", "cached", "cache_write", "cache_write_1h", "audio_input", "image_input")
    prompt = sum(usage.get(name, 0) for name in inputs)
    rates = at(price["standard"], prompt)
    if tier and tier.lower() in price["service"]:
        rates |= at(price["service"][tier.lower()], prompt)
    plain = charge(rates, usage)
    if plain is None:
        return None
    return int((plain * factor(price["regions"], region) + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


def rows_of(path):
    text = pathlib.Path(path).read_text()
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(found, dict):
        found = found.get("data", [found])
    return found


def parts(row):
    """What of a row has a cost of its own: the row, and its attempts that were not the one to answer."""
    yield "row", row.get("provider"), row.get("upstream_model"), row
    for number, attempt in enumerate(row.get("timeline") or [], 1):
        if attempt.get("usage") is not None:
            yield f"attempt {number}", attempt["provider"], attempt["model"], attempt


def pairs(texts):
    return dict(text.split("=", 1) for text in texts)


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("export")
    args.add_argument("table", nargs="?", default=str(pathlib.Path(__file__).parent.parent / "conf" / "models.tsv"))
    args.add_argument("--map", action="append", default=[], metavar="NAME=CATALOGUE")
    args.add_argument("--region", action="append", default=[], metavar="NAME=REGION")
    args.add_argument("--version", help="only rows of this price version")
    args = args.parse_args()
    table, catalogues, regions = read_table(args.table), pairs(args.map), pairs(args.region)
    equal = differ = unlisted = uncounted = 0
    for row in rows_of(args.export):
        if args.version and row.get("price_version") != args.version:
            continue
        day = datetime.date.fromisoformat(row["started_at"][:10])
        for what, provider, model, part in parts(row):
            usage, said = part.get("usage"), part.get("cost_pico_usd")
            if usage is None or provider is None or model is None:
                uncounted += 1
                continue
            catalogue = catalogues.get(provider, provider)
            models, region = table.get(catalogue, {}), regions.get(provider)
            prices = (models.get(f"{region}/{model}") if region else None) or find(models, model)
            if prices is None:
                unlisted += 1
                continue
            expected = cost(prices, usage, part.get("service_tier"), day, region)
            if expected == said:
                equal += 1
            else:
                differ += 1
                print(f"{row['request_id']} {what} {provider}/{model}: cost_pico_usd is {said}, expected {expected}")
    print(f"{equal} equal, {differ} differ, {unlisted} of models that are not listed, {uncounted} without a count",
          file=sys.stderr)
    sys.exit(1 if differ or not equal else 0)


if __name__ == "__main__":
    main()
