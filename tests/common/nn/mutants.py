"""Plants faults in the training engine, one at a time, in a copy of the tree, and shows that common/nn's tests fail.

    mutants.py [NAME...]        all mutants, or those named; exit 1 when one survives

Takes minutes (each mutant is built), so it is no part of the test suite; mutants_test.cc is. A fault whose place in the
source is gone is an error: move it along with the code.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TARGETS = ["common_nn_kernels_test", "common_nn_test"]

# name: (file, [(old, new)]), each `old` there exactly once.
MUTANTS = {
    "factors-rounded-to-bf16": ("common/nn/kernels/gemm-inl.h", [
        ("const GemmV av = hn::Set(d, run(r));",
         "const GemmV av = hn::And(hn::Set(d, run(r)), hn::BitCast(d, hn::Set(hn::RebindToUnsigned<GemmD>(), "
         "0xFFFF0000u)));")]),
    "taps-dropped": ("common/nn/conv_products.cc", [
        ("args.rows = {spec_.window_w * spec_.in.c, 1, spec_.window_h, row};",
         "args.rows = {spec_.window_w * spec_.in.c, 1, spec_.window_h - (spec_.window_h > 1 ? 1 : 0), row};")]),
    "taps-dropped-bf16": ("common/nn/conv_products_bf16.cc", [
        ("args.taps = {spec_.window_h, spec_.window_w, geometry_",
         "args.taps = {spec_.window_h, spec_.window_w - (spec_.window_w > 1 ? 1 : 0), geometry_")]),
    "last-lane-skipped": ("common/nn/kernels/gemm-inl.h", [
        ("HWY_MIN(n - before, kLanes)", "(n - before < kLanes ? n - before - 1 : kLanes)")]),
    "last-lane-skipped-bf16": ("common/nn/kernels/bf16_pack-inl.h", [
        ("static_cast<__mmask16>((1u << n) - 1)", "static_cast<__mmask16>(((1u << n) - 1) >> 1)")]),
    "input-gradient-after-update": ("common/nn/dense_segment.cc", [
        ("      if (dx != nullptr) InputGradient(pass, row, rows, dx, pass.workers[worker]);\n", ""),
        ("      pass.optimizer->Update(offset, rows * units_, true, gradient, pass.parameters + offset);\n",
         "      pass.optimizer->Update(offset, rows * units_, true, gradient, pass.parameters + offset);\n"
         "      if (dx != nullptr) InputGradient(pass, row, rows, dx, pass.workers[worker]);\n"),
        ("        KernelGradient(pass, x + row, rows, !pass.overwrite,",
         "        if (dx != nullptr) InputGradient(pass, row, rows, dx, pass.workers[worker]);\n"
         "        KernelGradient(pass, x + row, rows, !pass.overwrite,")]),
    "partials-joined-as-they-come": ("common/nn/local_segment.cc", [
        ("#include <algorithm>\n", "#include <algorithm>\n#include <mutex>\n"),
        ("struct Node {", "std::mutex order_mutex;\nstd::vector<size_t> order;\n\nstruct Node {"),
        ("    JoinPartials(pass);\n", "    JoinPartials(pass);\n    order.clear();\n"),
        ("      const size_t begin = task * chunk, end = std::min(pass.n, begin + chunk);\n",
         "      const size_t begin = task * chunk, end = std::min(pass.n, begin + chunk);\n"
         "      {\n        const std::lock_guard<std::mutex> lock(order_mutex);\n        order.push_back(task);\n      }\n"),
        ("for (size_t task = 0; task < Chunks(pass.n); ++task) {", "for (const size_t task : order) {")]),
    "denormals-not-flushed": ("common/nn/kernels/parallel.h", [("_mm_setcsr(saved_ | 0x8040);", "_mm_setcsr(saved_);")]),
    "one-read-too-many": ("common/nn/kernels/bf16_pack-inl.h", [
        ("_mm512_maskz_loadu_ps(mask, row)", "_mm512_maskz_loadu_ps(mask | (mask << 1), row)")]),
}


def copy_tree(to):
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True,
                           check=True).stdout.split()
    for name in names:
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def build(tree):
    env = dict(os.environ, CCACHE_BASEDIR=str(tree), CCACHE_NOHASHDIR="1")
    subprocess.run(["cmake", "--build", "--preset", "release", "-j2", "--target", *TARGETS], cwd=tree, env=env, check=True,
                   stdout=subprocess.DEVNULL)


def failures(tree):
    failed = []
    for target in TARGETS:
        run = subprocess.run([tree / "build/release/tests" / target, "--gtest_brief=1"], cwd=tree, capture_output=True,
                             text=True, errors="replace")
        failed += sorted(set(re.findall(r"^\[  FAILED  \] ([\w/]+)[.,]", run.stdout, re.M)))
        if run.returncode not in (0, 1):
            failed.append(f"{target} died")
    return failed


def plant(tree, mutant):
    name, changes = MUTANTS[mutant]
    before = text = (ROOT / name).read_text()
    for old, new in changes:
        if text.count(old) != 1:
            sys.exit(f"{mutant}: {text.count(old)} places in {name} read {old!r}")
        text = text.replace(old, new)
    (tree / name).write_text(text)
    return tree / name, before


def main():
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        subprocess.run(["cmake", "--preset", "release"], cwd=tree, check=True, stdout=subprocess.DEVNULL)
        build(tree)
        sound = failures(tree)
        if sound:
            sys.exit(f"the tests fail without a mutant: {sound}")
        for mutant in sys.argv[1:] or MUTANTS:
            path, before = plant(tree, mutant)
            build(tree)
            caught = failures(tree)
            suites = sorted({re.sub(r"^[\w]+/", "", c) for c in caught})
            print(f"{mutant}: {'caught by ' + ', '.join(suites) if caught else 'SURVIVES'}", flush=True)
            if not caught:
                survivors.append(mutant)
            path.write_text(before)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
