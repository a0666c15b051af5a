"""Draws docs/mnist-curves.svg from what mnist_federation.py (--to) and torch_same_parts.py wrote. Plain SVG, no library.

  python3 tests/bench/plot_curves.py curves.json torch.jsonl > docs/mnist-curves.svg
"""

import json
import sys

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 330, 52, 34, 12, 40
PANEL = (WIDTH - 2 * LEFT - 2 * RIGHT) / 2
COLOURS = {"tributary": "#1f6feb", "pytorch": "#d9822b"}
PANELS = [("iid", "iid, 10 clients", 0.92, 0.99, 10), ("shards:2", "shards:2, 10 clients", 0.2, 1.0, 15)]


def mean(curves):
    return [sum(v) / len(v) for v in zip(*curves)]


def panel(index, title, low, high, rounds, series):
    x0 = LEFT + index * (PANEL + LEFT + RIGHT)
    plot_height = HEIGHT - TOP - BOTTOM
    x = lambda r: x0 + (r - 1) / (rounds - 1) * PANEL
    y = lambda a: TOP + (high - max(low, min(high, a))) / (high - low) * plot_height
    out = [f'<text x="{x0}" y="{TOP - 14}" font-weight="bold">{title}</text>']
    for i in range(5):
        level = low + (high - low) * i / 4
        out.append(f'<line x1="{x0}" x2="{x0 + PANEL:.1f}" y1="{y(level):.1f}" y2="{y(level):.1f}" stroke="#ddd"/>'
                   f'<text x="{x0 - 6}" y="{y(level) + 4:.1f}" text-anchor="end">{level * 100:.1f}</text>')
    for r in range(1, rounds + 1):
        out.append(f'<text x="{x(r):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{r}</text>')
    for name, curves in series.items():
        for curve in curves:
            points = " ".join(f"{x(r + 1):.1f},{y(a):.1f}" for r, a in enumerate(curve))
            out.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-opacity="0.3"/>')
        points = " ".join(f"{x(r + 1):.1f},{y(a):.1f}" for r, a in enumerate(mean(curves)))
        out.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
    return out


def main():
    series = {"iid": {}, "shards:2": {}}
    for result in json.load(open(sys.argv[1], encoding="utf-8")):
        series[result["partition"]]["tributary"] = result["curves"]
    for line in open(sys.argv[2], encoding="utf-8") if len(sys.argv) > 2 else []:
        row = json.loads(line)
        if "curve" in row:
            series[row["partition"]].setdefault("pytorch", []).append(row["curve"])
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">')
    print(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    for i, (partition, title, low, high, rounds) in enumerate(PANELS):
        print("\n".join(panel(i, title, low, high, rounds, series[partition])))
    for i, name in enumerate(COLOURS):
        print(f'<rect x="{LEFT + i * 110}" y="{HEIGHT - 14}" width="12" height="4" fill="{COLOURS[name]}"/>'
              f'<text x="{LEFT + 18 + i * 110}" y="{HEIGHT - 9}">{name}</text>')
    print(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 9}" text-anchor="end">central test accuracy (%) by round; thin: one seed, '
          'thick: mean</text>\n</svg>')


if __name__ == "__main__":
    main()
