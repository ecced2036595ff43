"""MME: two questions to each picture, yes and no; per category the accuracy, and the share of pictures all right."""

from pathlib import Path

from ..scorers.choices import yes_or_no
from ..task import DataError, Grade, Graded, Measure, Question, Task, UnitScore, by_unit, spread, user
from .official_files import IMAGES, folder_of
from .textvqa import ANSWER_BRIEFLY

PERCEPTION = (
    *("existence", "count", "position", "color", "posters", "celebrity"),
    *("scene", "landmark", "artwork", "OCR"),
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
ROOTS = ("MME_Benchmark_release_version", "MME_Benchmark")
SUFFIX = " Please answer yes or no."


class MME(Task):
    """Acc plus acc+, summed over categories: at most 2,000 points for perception, 800 for cognition."""

    name, title = "mme", "MME"
    files = "MME_Benchmark_release_version/ with a folder per category"
    max_new_tokens = 16

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        pages = self._pages(data)
        return [question for category, page in spread(pages, limit) for question in _of_image(category, page)]

    def sources(self, data: Path) -> list[Path]:
        return [page for _, page in self._pages(data)]

    def _pages(self, data: Path | None) -> list[tuple[str, Path]]:
        folder = folder_of(data, self.name, self.files)
        folder = next((folder / root for root in ROOTS if (folder / root).is_dir()), folder)
        pages = [(category, page) for category in (*PERCEPTION, *COGNITION) for page in _pages(folder / category)]
        if not pages:
            raise DataError(f"{folder}: no MME category with questions in it; --data holds {self.files}")
        return pages

    def grade(self, question: Question, said: str) -> Grade:
        read_as = yes_or_no(said)
        return Grade(float(read_as == question.truth.lower()), read_as, read_as != "other")

    def measures(self, graded: Graded) -> list[Measure]:
        marks = []
        for unit, group in by_unit(graded).items():
            right = [grade.value for _, grade in group]
            category = group[0][0].categories["category"][0]
            marks.append(UnitScore(unit, sum(right) / len(right) + float(all(right)), stratum=category))
        both = (("perception", PERCEPTION, "MME-P"), ("cognition", COGNITION, "MME-C"))
        chosen = [(name, tuple(m for m in marks if m.stratum in categories), paper) for name, categories, paper in both]
        return [Measure(name, of_it, paper=paper, most=2.0) for name, of_it, paper in chosen if of_it]

    def breakdowns(self, graded: Graded) -> dict[str, list[Measure]]:
        """Of each category acc + acc+, at most 200."""
        marks = [mark for measure in self.measures(graded) for mark in measure.marks]
        categories = dict.fromkeys(mark.stratum for mark in marks)
        of_each = [(name, tuple(m for m in marks if m.stratum == name)) for name in categories]
        return {"category": [Measure(name, of_it, most=2.0) for name, of_it in of_each]}


def _pages(folder: Path) -> list[Path]:
    """The text files of a category, one per picture; some categories keep them apart from the pictures."""
    apart = folder / "questions_answers_YN"
    return sorted((apart if apart.is_dir() else folder).glob("*.txt"))


def _of_image(category: str, page: Path) -> list[Question]:
    lines = [line.split("\t") for line in page.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(lines) != 2 or any(len(line) != 2 or line[1].strip() not in ("Yes", "No") for line in lines):
        raise DataError(f"{page}: holds no two lines of question, tab, Yes or No; fetch the official file")
    image = _image_of(page)
    return [
        Question(
            id=f"{category}/{page.stem}#{number}",
            messages=user(f"{asked.strip().removesuffix(SUFFIX.strip()).strip()}\n{ANSWER_BRIEFLY}", image),
            truth=answer.strip(),
            facts={"of_unit": 2},
            categories={"category": (category,)},
            unit=f"{category}/{page.stem}",
        )
        for number, (asked, answer) in enumerate(lines, start=1)
    ]


def _image_of(page: Path) -> Path:
    """Beside its questions, or in the folder for pictures; a missing one is named when it is opened."""
    folder = page.parent.parent / "images" if page.parent.name == "questions_answers_YN" else page.parent
    names = [folder / f"{page.stem}{suffix}" for suffix in IMAGES]
    return next((name for name in names if name.is_file()), names[0])
