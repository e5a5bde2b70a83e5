"""The lines of the checks as a table: a row for each client, a column for each provider's format.

table.py LINES [--write]: `--write` also puts it between the marks `<!-- clients -->` and `<!-- /clients -->` of
README.md and docs/clients.md. The last line is `N passed, N failed`.
"""

import datetime
import pathlib
import sys

CHECKS = ["start", "turn", "stream", "tools", "both", "thinking", "error", "end"]
FORMATS = {"simulator": "Chat", "simulator-anthropic": "Messages"}


def column(provider):
    return FORMATS.get(provider, provider.removeprefix("simulator-").capitalize())


def cell(checks):
    """`ok`, or what failed."""
    bad = sorted((name for name, good in checks.items() if not good), key=CHECKS.index)
    return ", ".join(bad) + " failed" if bad else "ok" if checks else "not run"


def main():
    versions, results, providers = {}, {}, {}
    for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
        kind, _, rest = line.partition(" ")
        parts = rest.split(" | ")
        if kind == "client":
            versions[parts[0]] = parts[1]
            continue
        name, provider, check = parts[0], parts[1], parts[2].partition(":")[0]
        if provider != "-":
            providers[provider] = None
        results.setdefault(name, {}).setdefault(provider, {})[check] = kind == "pass"
    good = [passed for row in results.values() for checks in row.values() for passed in checks.values()]
    counts = f"{sum(good)} passed, {len(good) - sum(good)} failed"

    rows = [["client", "version", *map(column, providers)]]
    rows.append(["---"] * len(rows[0]))
    for name, row in results.items():
        rows.append([name, versions.get(name, ""), *(cell(row.get(provider, {})) for provider in providers)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    print(f"\n{table}\n")
    if "--write" in sys.argv[2:]:
        text = f"{table}\n\n{datetime.date.today():%d %B %Y}: {counts}.\n"
        for page in ["README.md", "docs/clients.md"]:
            write(pathlib.Path(page), text)
    print(counts)
    sys.exit(sum(good) < len(good))


def write(page, text):
    before, start, rest = page.read_text().partition("<!-- clients -->\n")
    _, end, after = rest.partition("<!-- /clients -->")
    if start and end:
        page.write_text(f"{before}{start}{text}{end}{after}")


main()
