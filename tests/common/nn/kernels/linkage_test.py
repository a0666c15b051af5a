"""No weak symbol may come out of the kernels' object files: the linker could pick a copy made with instructions that the
CPU lacks for use in the rest of the program.

    linkage_test.py NM OBJECT...        NM lists symbols (binutils' nm)
"""

import subprocess
import sys


def weak_symbols(nm, path):
    out = subprocess.run([nm, "--demangle", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    assert out.strip(), f"{path}: no symbols at all: is it an object file?"
    return [line for line in out.splitlines() if len(line.split()) > 1 and line.split()[1] in "wWvVu"]


def main():
    nm, objects = sys.argv[1], [p for p in sys.argv[2:] if p.endswith(("kernels_simd.cc.o", "bf16_amx.cc.o", "bf16_avx512.cc.o"))]
    assert len(objects) == 3, "the kernels are not among the objects"
    faults = [f"{path}: {line}" for path in objects for line in weak_symbols(nm, path)]
    print("\n".join(faults) or f"{len(objects)} objects, no weak symbol")
    return 1 if faults else 0


sys.exit(main())
