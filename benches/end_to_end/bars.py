"""The bars that the tool is held to, and what was reached."""
from report import aligned, paired


def bars(document):
    """One line a bar whose figures were measured: what, the bar, what was reached, whether it holds."""
    lines = [["bar", "asked", "reached", ""]]
    for title, asked, reached, holds, form in reached_bars(document):
        lines.append([title, asked, form.format(reached), "yes" if holds else "NO"])
    return aligned(lines) if len(lines) > 1 else ""


def reached_bars(document):
    results = document["contenders"]

    def least(title, bar, reached, form="{:.2f}"):
        return [] if reached is None else [(title, f">= {form.format(bar)}", reached, reached >= bar, form)]

    def most(title, bar, reached, form="{:.2f}"):
        return [] if reached is None else [(title, f"<= {form.format(bar)}", reached, reached <= bar, form)]

    def ratio(name, other, figure="rows_per_second"):
        if name not in results or other not in results:
            return None
        own, base = ([round_[key] for round_ in results[n]["rounds"]] for n, key in ((name, figure), (other, "rows_per_second")))
        return paired(own, base)["median"]

    def figure(name, key, found=results):
        return found[name]["median"].get(key) if name in found else None

    found = []
    found += least("run to floor, 2 workers", 1.10, ratio("run-2", "floor-2"))
    found += least("run to floor, 1 worker", 1.20, ratio("run-1", "floor-1"))
    found += most("table growth, 2 workers", 0.20, figure("run-2", "table_growth"), "{:.0%}")
    found += most("table growth, 1 worker", 0.20, figure("run-1", "table_growth"), "{:.0%}")
    found += least("run to its floor, indexed hashes, 2 workers", 0.75, ratio("hash-run-2", "hash-floor-2"))
    found += least("run to its floor, indexed hashes, 1 worker", 0.75, ratio("hash-run-1", "hash-floor-1"))
    found += least("run, default (2 workers), to the Node script", 40, ratio("run-2", "peer-node"), "{:.0f}")
    found += least("run, 1 worker, to the Node script", 40, ratio("run-1", "peer-node"), "{:.0f}")
    found += least("verify, 1 worker, rows/s", 250_000, figure("verify-1", "rows_per_second"), "{:,.0f}")
    found += least("verify, 1 worker, to the bare read", 0.45, ratio("verify-1", "read-1"))
    found += least("rerun to verify, 1 worker", 0.8, ratio("rerun-1", "verify-1"))
    found += least("run to the rewrite in wave order, 2", 0.85, ratio("run-2", "waves-2"))
    found += least("run to the rewrite in wave order, 1", 0.85, ratio("run-1", "waves-1"))
    found += least("SQLite, run to one bare UPDATE", 0.5, ratio("sqlite-run", "sqlite-floor"))
    found += least("SQLite, run to one UPDATE that changes every value", 0.5, ratio("sqlite-run", "sqlite-changed"))
    found += most("peak memory, 2 workers, MB", 256, megabytes(figure("run-2", "peak_rss_bytes")), "{:,.0f}")
    if "harm" in document:
        found += most("p99 of point updates beside a run, to alone", 3, document["harm"]["p99_to_alone"]["default"]["median"])
    scaled = document.get("scale", {})
    if {"100000", "3000000"} <= scaled.keys():
        small, large = scaled["100000"], scaled["3000000"]
        rates = [figure("run-2", "rows_per_second", at) for at in (small, large)]
        found += most("rows/s, 100 k to 3 M rows, differ by", 0.10, 1 - min(rates) / max(rates), "{:.0%}")
        found += most("peak memory at 3 M rows, MB", 256, megabytes(figure("run-2", "peak_rss_bytes", large)), "{:,.0f}")
        if "run-2" in results:
            more = megabytes(figure("run-2", "peak_rss_bytes", large) - figure("run-2", "peak_rss_bytes"))
            found += most(f"peak memory, {document['rows']:,} to 3 M rows, MB more", 10, more, "{:,.0f}")
        found += most("plan on 3 M rows, s", 2, figure("plan", "seconds", large))
    return found


def megabytes(value):
    return None if value is None else value / (1 << 20)
