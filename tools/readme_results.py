"""Puts what `minigemini eval` measured into the README: its tables, and its report among the results.

minigemini eval nano --model nano --model runs/nano/export-without-mining -o runs/eval/nano
python tools/readme_results.py runs/eval/nano/report.md
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README, REPORT = ROOT / "README.md", ROOT / "benchmarks/results/nano/evaluation.md"
BEGIN, END = "<!-- minigemini eval -->\n", "<!-- end -->\n"


def tables(report: str) -> str:
    """The scores of each task; raises `ValueError` if this is no report of `minigemini eval`."""
    found = re.findall(r"^## [^\n]+\n\n((?:\|[^\n]+\n)+)(?=\n- )", report, re.MULTILINE)
    if not report.startswith("# Evaluation\n") or not found:
        raise ValueError("this is no report.md of `minigemini eval`, or nothing in it has a score")
    return "\n".join(found)


def between(readme: str) -> str:
    """What stands between the marks."""
    return readme.split(BEGIN)[1].split(END)[0]


def main(path: Path) -> None:
    report, readme = path.read_text(), README.read_text()
    table = tables(report)
    REPORT.write_text(report)
    README.write_text(readme.replace(BEGIN + between(readme) + END, BEGIN + table + END))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
