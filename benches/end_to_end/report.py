"""Medians, ratios, the table for people and the document for machines."""
import math
import statistics


def quantile(ordered, share):
    """Nearest rank: the smallest of the sorted values that `share` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def medians(rounds):
    """The median of every figure over the rounds."""
    return {name: statistics.median(round_[name] for round_ in rounds) for name, value in rounds[0].items() if isinstance(value, (int, float))}


def paired(own, other):
    """The ratios round by round, and their median."""
    pairs = [a / b for a, b in zip(own, other)]
    return {"median": statistics.median(pairs), "pairs": pairs}


def summary(about, rounds, floor=None, floor_rounds=None):
    """What stands in the document for one contender."""
    found = {"about": about, "median": medians(rounds)}
    if floor_rounds:
        base = [round_["rows_per_second"] for round_ in floor_rounds]
        found |= {
            "floor": floor,
            "ratio_to_floor": paired([round_["rows_per_second"] for round_ in rounds], base),
            "ratio_to_floor_whole": paired([round_["rows_per_second_whole"] for round_ in rounds], base),
        }
    return found | {"rounds": rounds}


COLUMNS = [
    ("rows/s", lambda m: f"{m['rows_per_second']:,.0f}"),
    ("to floor", lambda m: shown(m.get("ratio"), "{:.2f}")),
    ("whole", lambda m: f"{m['rows_per_second_whole']:,.0f}"),
    ("to floor", lambda m: shown(m.get("ratio_whole"), "{:.2f}")),
    ("fields/s", lambda m: f"{m['fields_per_second'] / 1e6:.2f} M"),
    ("client µs", lambda m: shown(m.get("client_cpu_us_per_row"), "{:.1f}")),
    ("server µs", lambda m: shown(m.get("server_cpu_us_per_row"), "{:.1f}")),
    ("WAL B", lambda m: shown(m.get("wal_bytes_per_row"), "{:,.0f}")),
    ("table", lambda m: shown(m.get("table_growth"), "{:+.0%}")),
    ("indexes", lambda m: shown(m.get("index_growth"), "{:+.0%}")),
    ("entries", lambda m: shown(m.get("index_entries_per_row"), "{:.2f}")),
    ("HOT", lambda m: shown(m.get("hot_share"), "{:.0%}")),
    ("others", lambda m: shown(m.get("others_share"), "{:.0%}")),
    ("peak MB", lambda m: shown(m.get("peak_rss_bytes"), "{:,.0f}", 1 / (1 << 20))),
]


def shown(value, form, factor=1):
    return "" if value is None else form.format(value * factor)


def table(results):
    """One line a contender, as Markdown that also reads well in a terminal."""
    lines = [["", *(head for head, _ in COLUMNS)]]
    for name, result in results.items():
        summary = dict(result["median"])
        for figure, key in (("ratio", "ratio_to_floor"), ("ratio_whole", "ratio_to_floor_whole")):
            if key in result:
                summary[figure] = result[key]["median"]
        lines.append([result["about"], *(form(summary) for _, form in COLUMNS)])
    return aligned(lines)


def disturbance(document):
    """A warning, where something else used the machine."""
    shares = {n: r["median"]["others_share"] for n, r in document["contenders"].items() if "others_share" in r["median"]}
    worst = max(shares, key=shares.get, default=None)
    if worst is None or shares[worst] <= 0.05:
        return ""
    return f"Something else used up to {shares[worst]:.0%} of the machine ({worst}): these figures compare nothing. Measure again alone."


def harm_table(harm):
    lines = [["400 point updates/s", "p50 ms", "p99 ms", "max ms", "p99 to alone", "run rows/s"]]
    titles = {"alone": "alone", "default": "beside run, defaults", "limited": "beside run, --max-rows-per-second"}
    for name, title in titles.items():
        entry = harm["median"][name]
        lines.append([
            title, *(f"{entry[key]:.2f}" for key in ("p50_ms", "p99_ms", "max_ms")),
            f"{harm['p99_to_alone'][name]['median']:.2f}", shown(entry.get("rows_per_second_whole"), "{:,.0f}")])
    return aligned(lines)


def aligned(lines):
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    def text(line):
        cells = [cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(zip(line, widths))]
        return "| " + " | ".join(cells) + " |"
    rule = "|" + "|".join("-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths)) + "|"
    return "\n".join([text(lines[0]), rule, *map(text, lines[1:])])


def harm_summary(rounds):
    """Medians for each way of running, and the p99 as multiples of the undisturbed one of the same round."""
    alone = [round_["alone"]["p99_ms"] for round_ in rounds]
    return {
        "median": {name: medians([round_[name] for round_ in rounds]) for name in rounds[0]},
        "p99_to_alone": {name: paired([round_[name]["p99_ms"] for round_ in rounds], alone) for name in rounds[0]},
        "rounds": rounds,
    }
