"""Hooks of the documentation site: links to files outside `docs/` become links to the repository.

The pages use relative links, which also work on GitHub. The site contains only `docs/`, so a link such as
`../benchmarks/results/mining.md` needs an address.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parent.parent
OUTSIDE = re.compile(r"(?<=\]\()(?:\.\./)+([^)#\s]+)(#[^)\s]+)?(?=\))")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Rewrite the links of one page.

    Raises:
        PluginError: A link leads to a file that does not exist.
    """

    def on_the_web(link: re.Match[str]) -> str:
        path, anchor = link[1], link[2] or ""
        inside = (Path(page.file.abs_src_path).parent / link[0].partition("#")[0]).resolve()
        if inside.is_relative_to(config.docs_dir):
            return link[0]
        if not (ROOT / path).exists():
            raise PluginError(f"{page.file.src_uri}: {link[0]} does not exist; correct the link")
        return f"{config.repo_url}/blob/main/{path}{anchor}"

    return OUTSIDE.sub(on_the_web, markdown)
