"""reencrypt as a user starts it: a configuration, the keys in the environment, default settings."""
import json
import os

from measurement import ChildFailed, run_child
from patients import COLUMNS, NEW_KEY, OLD_KEY

CONFIGURATION = """[environment]
name = "benchmark"

[[table]]
name = "Patient"

[table.columns]
{columns}
"""

BLIND_INDEX = """
[[table.blind_index]]
column = "{column}"
of = "{of}"
algorithm = "hmac-sha256"
subkey = [{{ hmac = "sha256", msg = "patient-dedup-v1" }}]
normalize = {normalize}
"""


class Tool:
    """The program under measurement."""

    def __init__(self, binary, scratch):
        self.binary, self.scratch = binary, scratch
        columns = "\n".join(f'{column} = "gcm-triple-b64-iv16"' for column in COLUMNS)
        plain = CONFIGURATION.format(columns=columns)
        hashed = (plain + BLIND_INDEX.format(column="emailHash", of="email", normalize='["trim", "lowercase"]')
                  + BLIND_INDEX.format(column="dobHash", of="dob", normalize='["date"]'))
        for name, text in (("plain", plain), ("hashed", hashed)):
            with open(self.configuration(name), "w", encoding="utf-8") as file:
                file.write(text)
        self.version = run_child([binary, "--version"])["out"].strip()

    def configuration(self, name):
        return os.path.join(self.scratch, f"{name}.toml")

    def run(self, url, workers=None, variant="plain", arguments=()):
        """A whole run. `seconds` is the process from start to end; `rows_per_second` its own figure, of the first pass alone."""
        workers = ["--workers", str(workers)] if workers else []
        report, child = self.command(url, variant, "run", "--yes", *workers, *arguments)
        if report["state"] != "finished":
            raise ChildFailed(f"run ended {report['state']}")
        return {
            **child,
            "rows": sum(table["rows"] for table in report["tables"]),
            "rows_per_second": report["tables"][0]["rows_per_second"],
            "order": report["tables"][0].get("order"),
            "passes": report["passes"],
            "rotated": sum(column["rotated"] for column in report["tables"][0]["columns"]),
        }

    def verify(self, url, one_core=False):
        """`verify` takes a worker for each core that it may use: on one core, one worker."""
        report, child = self.command(url, "plain", "verify", one_core=one_core)
        if report["old_key_needed"] is not False:
            raise ChildFailed(f"verify says old_key_needed = {report['old_key_needed']}: {report['reason']}")
        return {**child, "rows": sum(table["rows"] for table in report["tables"])}

    def plan(self, url):
        report, child = self.command(url, "plain", "plan")
        return {**child, "rows": sum(table["rows"] for table in report["tables"])}

    def command(self, url, variant, *arguments, one_core=False):
        environment = {"DATABASE_URL": url, "OLD_KEY": OLD_KEY.hex(), "NEW_KEY": NEW_KEY.hex()}
        command = [self.binary, *arguments, "--config", self.configuration(variant), "--output", "json", "-q"]
        child = run_child(command, environment=environment, folder=self.scratch, one_core=one_core)
        report = json.loads(child.pop("out"))
        child.pop("code")
        return report, child
