"""The rules of the house that a text search can check. Each prints what breaks it; any fault fails the test.

  layering   protos <- common <- {server, client} <- tests, and within common the floors below; server/operator reaches
             the coordinator over gRPC only
  listed     every *_test.cc is named in the CMakeLists.txt of its folder
  clock      ::now() and sleeps only in common/base/clock.cc (programs and libraries; tests never sleep to synchronise)
  output     no std::cout below the programs' edges
  files      where peers' messages are handled, paths are put together in named places only, from digests and fixed names
  words      no unfinished work, no test that cannot fail
  paths      no path of a developer's machine
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(sys.argv[1]).resolve()
FLOOR = {"common/base": 0, "common/crypto": 1, "common/storage": 1, "common/data": 1, "common/nn": 1, "common/rpc": 2,
         "common/update": 2, "common/history": 3, "common/wire": 3, "common/learning": 3, "server": 4, "client": 4}
FRIENDS = {("common/storage", "common/crypto"), ("common/data", "common/crypto"), ("common/nn", "common/data"),
           ("common/rpc", "common/update")}
# server/operator is a program of its own: of the coordinator it may not touch anything.
CLOCK_ALLOWED = {"common/base/clock.cc"}
GRPC_DEADLINES = re.compile(r"set_deadline|system_clock::now\(\) \+")


def tracked():
    out = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    names = out.stdout.split() if out.returncode == 0 else []
    return [n for n in names if (ROOT / n).is_file()]


def floor(path):
    return max((f for f in FLOOR if path.startswith(f + "/")), key=len, default=None)


def code_lines(name):
    for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1):
        yield number, re.sub(r"//.*", "", line)


def layering(code):
    for name in code:
        mine = floor(name)
        for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not found or mine is None:
                continue
            other = floor(found.group(1))
            if found.group(1).startswith("tests/"):
                yield f"{name}:{number}: includes a test"
            if name.startswith("server/operator/") and found.group(1).startswith("server/") \
                    and not found.group(1).startswith("server/operator/"):
                yield f"{name}:{number}: the command line includes {found.group(1)}"
            if other is None or other == mine or FLOOR[other] < FLOOR[mine] or (mine, other) in FRIENDS:
                continue
            yield f"{name}:{number}: includes {found.group(1)}, which is not below it"


def listed(files):
    for name in files:
        if not name.endswith("_test.cc"):
            continue
        cmake = ROOT / Path(name).parent / "CMakeLists.txt"
        if not cmake.is_file() or Path(name).name not in cmake.read_text():
            yield f"{name}: not named in {cmake.relative_to(ROOT)}: it never runs"


def clock(code):
    for name in code:
        if name in CLOCK_ALLOWED:
            continue
        for number, line in code_lines(name):
            if re.search(r"::now\(\)", line) and not GRPC_DEADLINES.search(line):
                yield f"{name}:{number}: reads a clock of its own: {line.strip()}"
            if re.search(r"\b(sleep_for|sleep_until|usleep|nanosleep|SleepFor)\b|[^_\w]sleep\(", line):
                yield f"{name}:{number}: sleeps"


def output(code):
    for name in code:
        if name.endswith("/main.cc"):
            continue
        for number, line in code_lines(name):
            if "std::cout" in line and "commands" not in name:
                yield f"{name}:{number}: std::cout below main"


# Where what a peer sent is at hand, and the files in them that put paths together: each from what, and why that is safe.
PEERS_AT_HAND = ("server/service/", "server/rounds/", "server/identity/", "client/session/", "common/wire/", "common/update/")
MAY_BUILD_PATHS = {
    "server/service/upload_store.cc": "an upload's file: hexadecimal halves of digests that are computed here",
    "server/service/endpoints_file.cc": "a fixed name in the coordinator's directory",
    "server/service/settings.cc": "a fixed name in the coordinator's directory",
    "server/identity/ca.cc": "fixed names in the coordinator's directory",
    "server/identity/authority_files.cc": "fixed names in the coordinator's directory, and a digest that is computed here",
    "server/identity/federation.cc": "a fixed name in the coordinator's directory",
    "server/identity/federation_init.cc": "fixed names in the coordinator's directory",
    "client/session/model_cache.cc": "base_model_sha256, a digest since the task was checked",
    "client/session/client_ledger.cc": "a fixed name in the client's directory",
    "client/session/outbox.cc": "fixed names; bytes lie under their digest",
    "client/session/data_stamp.cc": "the owner's own data, as the owner's settings name them",
    "client/session/daemon.cc": "fixed names in the client's directory",
}


def file_paths(code):
    # "/" beside something that varies, or the operator / of a path.
    built = re.compile(r'"/[\w.-]*"|"[\w.-]*/"|fs::path|filesystem::path')
    for name in MAY_BUILD_PATHS:
        if name not in code or not any(built.search(line) for _, line in code_lines(name)):
            yield f"{name}: builds no path: take it off the list"
    for name in code:
        if not name.startswith(PEERS_AT_HAND) or name in MAY_BUILD_PATHS:
            continue
        for number, line in code_lines(name):
            if built.search(line) and not re.search(r'"/tributary\.v1|#include|"(client|operator|stranger)/"', line):
                yield f"{name}:{number}: builds a path where peers' words are at hand: {line.strip()}"


def words(files):
    unfinished = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|EXPECT_TRUE\(true\)|\bSUCC" + r"EED\(\)|TEST\w*\([^)]*DISABLED_")
    for name in files:
        if name.endswith((".cc", ".h", ".py", ".proto")) and name != "tests/support/house_rules_test.py":
            for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1):
                if unfinished.search(line):
                    yield f"{name}:{number}: {line.strip()}"


def paths(files):
    for name in files:
        if name.endswith((".cc", ".h", ".py", ".proto", ".md", ".txt", ".toml", "/run", "/demo")):
            for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1):
                if re.search(r"/(home|root|work)/[a-z]", line) and "house_rules" not in name:
                    yield f"{name}:{number}: {line.strip()}"


def main():
    files = tracked()
    code = [f for f in files if f.endswith((".cc", ".h")) and not f.startswith("tests/")]
    if not code:
        print("no code found: is this a checkout?")
        return 1
    faults = [*layering(code), *listed(files), *clock(code), *output(code), *file_paths(code), *words(files), *paths(files)]
    print("\n".join(faults))
    print(f"{len(files)} files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
