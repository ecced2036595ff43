"""Build the pictures and questions of the task `real`, and the pictures of examples/photos.

On Debian 12 (apt-get, dpkg-deb, Chromium and its fonts DejaVu and Liberation):

    pip install matplotlib==3.11.2 pillow==12.3.0 playwright==1.65.2
    python benchmarks/real_pictures/build.py --work /tmp/real-pictures

Photographs and fonts come from pinned packages (`packages.py`); rendered pictures depend on the versions of Chromium,
FreeType and matplotlib by some pixels, so the result is in the repository: minigemini_models/evaluation/real has the
pictures, `questions.json` and `NOTICES.md`. Without `--work` the questions alone are written again.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RESULT, EXAMPLES_FOLDER = ROOT / "minigemini_models" / "evaluation" / "real", ROOT / "examples" / "photos"
CHROMIUM = "/usr/bin/chromium"
PNG_COLORS = 128
HEAD = (
    "<!doctype html><meta charset=utf-8><style>html,body{margin:0;height:100%;font-variant-numeric:lining-nums}</style>"
)
NOTICES = """\
# Notices

The photographs were made smaller and stored as JPEG. Their licenses are those that the sources give; the texts are at
https://creativecommons.org/licenses/ and https://creativecommons.org/publicdomain/zero/1.0/. A photograph under a
share-alike license stays under it in this form. All PNG files were rendered for this project, under its license,
Apache-2.0. `benchmarks/real_pictures` has the script and the packages that the photographs come from.

| file | author | license | source |
|---|---|---|---|
{rows}
"""
FIELDS = ("category", "question", "answers", "forbidden", "imagenet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for packages; draws every picture again")
    arguments = parser.parse_args()
    if arguments.work:
        import photographs
        from rendered import EXAMPLE_PICTURES, PICTURES

        folder = package_folders(arguments.work)
        for target, photos, pictures in (
            (RESULT, photographs.EVALUATION, PICTURES),
            (EXAMPLES_FOLDER, photographs.EXAMPLES, EXAMPLE_PICTURES),
        ):
            target.mkdir(parents=True, exist_ok=True)
            write_photographs(photos, folder, target)
            render(pictures, target, arguments.work)
    questions = read_questions(HERE / "questions.txt")
    check(questions, RESULT)
    (RESULT / "questions.json").write_text(json.dumps(questions, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(len(questions), "questions,", dict(Counter(question["category"] for question in questions)))


def package_folders(work: Path) -> Callable[[str], Path]:
    """A function from a package's name to its folder; fonts are unpacked too."""
    import plots
    from packages import FONTS, PHOTOGRAPHS, fetch

    for font in FONTS:
        plots.use_fonts(fetch(font, work))
    by_name = {package.name: package for package in PHOTOGRAPHS}
    return cache(lambda name: fetch(by_name[name], work))


def write_photographs(photos: Mapping[str, Any], folder: Callable[[str], Path], target: Path) -> None:
    """Write the JPEGs and their notices."""
    import photographs

    rows = []
    for name, photograph in sorted(photos.items()):
        image, notice = photographs.load(photograph, folder)
        image.save(target / f"{name}.jpg", quality=photographs.JPEG_QUALITY, optimize=True)
        rows.append(f"| {name}.jpg | {notice.author} | {notice.license} | {notice.source} |")
    text = NOTICES.format(rows="\n".join(rows))
    (target / "NOTICES.md").write_text(text, encoding="utf-8")


def render(pictures: Mapping[str, Any], target: Path, work: Path) -> None:
    """Draw charts with matplotlib and photograph HTML with Chromium; store PNGs of few colors."""
    import plots
    from PIL import Image
    from playwright.sync_api import sync_playwright

    faces = "".join(font_faces(work))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, picture in pictures.items():
            path = target / f"{name}.png"
            if isinstance(picture, plots.Chart):
                plots.draw(picture, path)
            else:
                source = work / "page.html"
                source.write_text(f"{HEAD}<style>{faces}</style>{picture.body}", encoding="utf-8")
                tab = browser.new_page(viewport={"width": picture.width, "height": picture.height})
                tab.goto(source.resolve().as_uri())
                tab.evaluate("document.fonts.ready")
                tab.screenshot(path=path)
                tab.close()
            image = Image.open(path).convert("RGB")
            image.quantize(PNG_COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
        browser.close()


def font_faces(work: Path) -> Iterator[str]:
    """CSS rules for the families of the packages."""
    from packages import FACES

    for family, name in FACES.items():
        (file,) = work.glob(f"fonts-*/**/{name}")
        yield f"@font-face{{font-family:'{family}';src:url('{file.resolve().as_uri()}')}}"


def read_questions(path: Path) -> list[dict[str, Any]]:
    """The questions of a text file.

    `== PICTURE` begins a picture; then every line is `category | question | answers | forbidden | imagenet`, with lists
    separated by semicolons. `## SECTION` begins pictures of similar things: an answer of the category `name` must not
    have the first name of another picture of its section, unless the question has it too. A bare `##` ends the section.
    """
    found: list[dict[str, Any]] = []
    picture = section = ""
    names: dict[str, set[str]] = defaultdict(set)
    sections: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            picture = line[3:].strip()
        elif line.startswith("##"):
            section = line[2:].strip()
        elif line.strip():
            cells = [cell.strip() for cell in line.split("|")]
            cells += [""] * (len(FIELDS) - len(cells))
            lists = {
                name: [part.strip() for part in cell.split(";") if part.strip()]
                for name, cell in zip(FIELDS[2:], cells[2:], strict=True)
            }
            number = sum(question["picture"] == picture for question in found)
            found.append(
                {
                    "id": f"{picture.partition('.')[0]}-{number}",
                    "picture": picture,
                    "category": cells[0],
                    "question": cells[1],
                    **lists,
                }
            )
            sections.append(section)
            if section and cells[0] == "name":
                names[section].add(lists["answers"][0])
    for question, its_section in zip(found, sections, strict=True):
        if question["category"] == "name":
            own = " ".join([question["question"], *question["answers"], *question["imagenet"]]).lower()
            rivals = {name for name in names[its_section] if name not in own}
            question["forbidden"] = sorted({*question["forbidden"], *rivals})
    return found


def check(questions: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Fail on questions without a picture or an answer, and on pictures without a question."""
    shown = {question["picture"] for question in questions}
    there = {path.name for path in folder.iterdir() if path.suffix in (".jpg", ".png")}
    if shown != there:
        raise ValueError(f"without a picture: {sorted(shown - there)}; without a question: {sorted(there - shown)}")
    for question in questions:
        if bool(question["answers"]) == (question["category"] == "unknown"):
            raise ValueError(f"{question['id']}: give answers, except in the category unknown")


if __name__ == "__main__":
    main()
