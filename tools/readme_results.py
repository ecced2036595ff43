r"""Copies the results of `minigemini eval`: its tables into docs/results.md, its report into benchmarks/results.

minigemini eval synthetic synthetic-basic refusals --model nano --model runs/nano/nano-without-mining --limit 150 \
    -o runs/eval/nano
python tools/readme_results.py runs/eval/nano/report.md
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE, REPORT = ROOT / "docs/results.md", ROOT / "benchmarks/results/nano/evaluation.md"
BEGIN, END = "<!-- minigemini eval -->\n", "<!-- end -->\n"


def tables(report: str) -> str:
    """The table of scores of each task in a report.

    Raises:
        ValueError: The text is not a report of `minigemini eval`, or it has no scores.
    """
    found = re.findall(r"^## [^\n]+\n\n((?:\|[^\n]+\n)+)(?=\n- )", report, re.MULTILINE)
    if not report.startswith("# Evaluation\n") or not found:
        raise ValueError(
            "not a report.md of `minigemini eval` with scores; run `minigemini eval` and give its report.md"
        )
    return "\n".join(found)


def between(page: str) -> str:
    """The text between the two markers."""
    return page.split(BEGIN)[1].split(END)[0]


def main(path: Path) -> None:
    report, page = path.read_text(), PAGE.read_text()
    table = tables(report)
    REPORT.write_text(report)
    PAGE.write_text(page.replace(BEGIN + between(page) + END, BEGIN + table + END))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
