"""The card of what was built: what is in it, under which licences, and how to use it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any


def card(index: Mapping[str, Any], issues: Mapping[str, int]) -> str:
    """A README in the hub's form.

    Args:
        index: the index of the shards.
        faults: samples left out, by kind.
    """
    by_licence: Counter[str] = Counter()
    for part in index["sources"]:
        by_licence[part["licence"] or "not known"] += part["samples"]
    licences = "other" if len(by_licence) != 1 else next(iter(by_licence))
    rows = [f"| {p['source']} | {p['samples']:,} | {p['licence'] or 'not known'} |" for p in index["sources"]]
    lost = [f"| {kind} | {count:,} |" for kind, count in sorted(issues.items())]
    parquet = index["form"] == "parquet"
    inside = (
        "inside the shards"
        if index["pictures"] == "inside"
        else f"by their paths, which start from `{index['images']}`"
    )
    return "\n".join(
        [
            "---",
            f"license: {'other' if licences == 'not known' else repr(licences)}",
            "task_categories: [image-text-to-text]",
            *(["configs:", "- config_name: default", "  data_files: shard-*.parquet"] if parquet else []),
            "---",
            "",
            f"# {index['name']}",
            "",
            f"{index['rows']:,} conversations in {len(index['shards'])} {index['form']} shards, "
            f"in the order of seed {index['seed']}; pictures {inside}.",
            "",
            "| source | samples | licence |",
            "|---|---|---|",
            *rows,
            "",
            "| licence | samples |",
            "|---|---|",
            *(f"| {licence} | {count:,} |" for licence, count in by_licence.most_common()),
            "",
            *(
                [
                    "Left out, each with its id and reason in `faults.jsonl`:",
                    "",
                    "| fault | samples |",
                    "|---|---|",
                    *lost,
                ]
                if lost
                else ["Nothing was left out."]
            ),
            "",
            "## To use it",
            "",
            "    minigemini train MGM-7B-instruct data=THIS_FOLDER",
            "",
            *(
                ['    datasets.load_dataset("parquet", data_files="THIS_FOLDER/shard-*.parquet")', ""]
                if parquet
                else []
            ),
            f"`index.json` has each shard's rows, bytes and SHA-256; fingerprint `{index['fingerprint']}`.",
            "",
        ]
    )
