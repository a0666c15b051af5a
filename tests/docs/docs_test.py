"""The reference pages say what the programs say. Each check prints what is missing; any fault fails the test.

  links      every relative link of README.md and docs/ leads to a file, and to a heading in it
  commands   every line of the golden help texts is in docs/reference/cli.md
  database   every column of both schemas is in docs/reference/database.md, under its table
  keys       every key that a reader of ours asks for is in docs/reference/config.md
"""

import re
import sys
from pathlib import Path

ROOT = Path(sys.argv[1]).resolve()
HELP = ["tests/golden/help/tributary-client.txt", "tests/golden/help/tributary-coordinator.txt",
        "tests/golden/operator/help.txt"]
SCHEMAS = {"server/ledger/identity_schema.h": "ledger.db", "server/ledger/history_schema.cc": "ledger.db",
           "client/session/client_ledger_schema.h": "client.db"}
READERS = ["server/operator/run_file.cc", "server/operator/model_section.cc", "client/policy/policy_file.cc",
           "client/session/client_settings.cc", "server/service/settings.cc"]


def text(name):
    return (ROOT / name).read_text(encoding="utf8")


def pages():
    return ["README.md"] + [str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md"))]


def without_blocks(page):
    return re.sub(r"```.*?```", "", text(page), flags=re.S)


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", without_blocks(page), re.M)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


def check_links():
    for page in pages():
        for link in re.findall(r"\]\(([^)]+)\)", without_blocks(page)):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent.joinpath(path).resolve() if path else ROOT / page
            if not target.exists():
                yield f"{page}: the link {link} leads nowhere"
            elif anchor and anchor not in anchors(str(target.relative_to(ROOT))):
                yield f"{page}: no heading for the link {link}"


def check_commands():
    known = {line.strip() for line in text("docs/reference/cli.md").splitlines()}
    for name in HELP:
        for line in text(name).splitlines():
            if line.strip() and not line.startswith("$") and line.strip() not in known:
                yield f"docs/reference/cli.md lacks a line of {name}: {line.strip()}"


def check_database():
    page = text("docs/reference/database.md")
    for name, file in SCHEMAS.items():
        part = page.split("## `client.db`")[1] if file == "client.db" else page.split("## `client.db`")[0]
        for table, body in re.findall(r"CREATE TABLE (\w+) \(([^\n]*\n.*?)\n\) STRICT", text(name), re.S):
            sections = re.findall(rf"^### `{table}`\n(.*?)(?=^##|\Z)", part, re.M | re.S)
            if len(sections) != 1:
                yield f"docs/reference/database.md: {file} has a table {table}"
                continue
            for column in re.findall(r"^ +(\w+) (?:TEXT|INTEGER|REAL|BLOB)\b", body, re.M):
                if f"| `{column}` |" not in sections[0]:
                    yield f"docs/reference/database.md: {file}, table {table}, has a column {column}"


def check_keys():
    page = text("docs/reference/config.md")
    getter = re.compile(r"\b(?:Strings?|StringMap|Ints?|Doubles?|Bool|Duration|Tables?|Has)\(\"(\w+)\""
                        r"|\b(?:U32|Millis|Positive|Choose|Pair|Globs|Address)\(&?\w+, \"(\w+)\"")
    for name in READERS:
        for found in getter.finditer(text(name)):
            key = found.group(1) or found.group(2)
            if f"`{key}`" not in page:
                yield f"docs/reference/config.md: {name} reads a key {key}"


def main():
    faults = [f for check in (check_links, check_commands, check_database, check_keys) for f in check()]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


sys.exit(main())
