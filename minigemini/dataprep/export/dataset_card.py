"""The dataset card of a build: contents, licenses and usage."""

from collections import Counter
from collections.abc import Mapping
from typing import Any


def card(index: Mapping[str, Any], issues: Mapping[str, int]) -> str:
    """Write a README in the hub's format.

    Args:
        index: the index of the shards.
        issues: number of excluded samples by kind of issue.
    """
    by_licence: Counter[str] = Counter()
    for part in index["sources"]:
        by_licence[part["licence"] or "unknown"] += part["samples"]
    licences = "other" if len(by_licence) != 1 else next(iter(by_licence))
    rows = [f"| {p['source']} | {p['samples']:,} | {p['licence'] or 'unknown'} |" for p in index["sources"]]
    excluded = [f"| {kind} | {count:,} |" for kind, count in sorted(issues.items())]
    parquet = index["form"] == "parquet"
    inside = (
        "inside the shards" if index["pictures"] == "inside" else f"referenced by paths relative to `{index['images']}`"
    )
    return "\n".join(
        [
            "---",
            f"license: {'other' if licences == 'unknown' else repr(licences)}",
            "task_categories: [image-text-to-text]",
            *(["configs:", "- config_name: default", "  data_files: shard-*.parquet"] if parquet else []),
            "---",
            "",
            f"# {index['name']}",
            "",
            f"{index['rows']:,} conversations in {len(index['shards'])} {index['form']} shards, "
            f"in the order of seed {index['seed']}; images are {inside}.",
            "",
            "| source | samples | license |",
            "|---|---|---|",
            *rows,
            "",
            "| license | samples |",
            "|---|---|",
            *(f"| {licence} | {count:,} |" for licence, count in by_licence.most_common()),
            "",
            *(
                [
                    "Excluded samples, listed with their ids and reasons in `faults.jsonl`:",
                    "",
                    "| issue | samples |",
                    "|---|---|",
                    *excluded,
                ]
                if excluded
                else ["No samples were excluded."]
            ),
            "",
            "## Usage",
            "",
            "    minigemini train MGM-7B-instruct data=THIS_FOLDER",
            "",
            *(
                ['    datasets.load_dataset("parquet", data_files="THIS_FOLDER/shard-*.parquet")', ""]
                if parquet
                else []
            ),
            f"`index.json` lists the rows, bytes and SHA-256 of each shard; fingerprint `{index['fingerprint']}`.",
            "",
        ]
    )
