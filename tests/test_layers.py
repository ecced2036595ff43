"""Import contracts hold (they are in pyproject.toml), and pickles are read in one place only."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_layers_point_one_way():
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pickles_are_read_in_one_place():
    for file in (ROOT / "minigemini").rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        for call in calls:
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert keywords.get("trust_remote_code", "False") == "False", file
            if ast.unparse(call.func) == "torch.load":
                assert file.is_relative_to(ROOT / "minigemini/conversion"), f"{file}: only conversion reads pickles"
                assert keywords["weights_only"] == "True", file
