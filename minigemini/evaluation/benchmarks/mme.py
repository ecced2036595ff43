"""MME: two yes/no questions per image; a category scores its accuracy plus the share of fully correct images."""

from pathlib import Path

from ..scorers.choices import yes_or_no
from ..task import DataError, Grade, Graded, Measure, Question, Task, UnitScore, complete_units, spread, user
from .official_files import IMAGES, benchmark_folder
from .textvqa import ANSWER_BRIEFLY

PERCEPTION = (
    *("existence", "count", "position", "color", "posters", "celebrity"),
    *("scene", "landmark", "artwork", "OCR"),
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
ROOTS = ("MME_Benchmark_release_version", "MME_Benchmark")
SUFFIX = " Please answer yes or no."


class MME(Task):
    """acc + acc+, summed over categories: at most 2,000 points for perception and 800 for cognition."""

    name, title = "mme", "MME"
    files = "MME_Benchmark_release_version/ with a folder per category"
    max_new_tokens = 16

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        pages = self._question_files(data)
        return [question for category, page in spread(pages, limit) for question in _of_image(category, page)]

    def sources(self, data: Path) -> list[Path]:
        return [page for _, page in self._question_files(data)]

    def _question_files(self, data: Path | None) -> list[tuple[str, Path]]:
        folder = benchmark_folder(data, self.name, self.files)
        folder = next((folder / root for root in ROOTS if (folder / root).is_dir()), folder)
        pages = [
            (category, page)
            for category in (*PERCEPTION, *COGNITION)
            for page in _list_question_files(folder / category)
        ]
        if not pages:
            raise DataError(f"{folder}: no MME category with questions; --data must hold {self.files}")
        return pages

    def grade(self, question: Question, answer: str) -> Grade:
        read_as = yes_or_no(answer)
        return Grade(float(read_as == question.truth.lower()), read_as, read_as != "other")

    def measures(self, graded: Graded) -> list[Measure]:
        scores = []
        for unit, group in complete_units(graded).items():
            right = [grade.value for _, grade in group]
            category = group[0][0].categories["category"][0]
            scores.append(UnitScore(unit, sum(right) / len(right) + float(all(right)), stratum=category))
        both = (("perception", PERCEPTION, "MME-P"), ("cognition", COGNITION, "MME-C"))
        chosen = [
            (name, tuple(s for s in scores if s.stratum in categories), paper) for name, categories, paper in both
        ]
        return [Measure(name, part, paper=paper, max_value=2.0) for name, part, paper in chosen if part]

    def breakdowns(self, graded: Graded) -> dict[str, list[Measure]]:
        """acc + acc+ of each category, at most 200."""
        scores = [score for measure in self.measures(graded) for score in measure.unit_scores]
        categories = dict.fromkeys(score.stratum for score in scores)
        parts = [(name, tuple(s for s in scores if s.stratum == name)) for name in categories]
        return {"category": [Measure(name, part, max_value=2.0) for name, part in parts]}


def _list_question_files(folder: Path) -> list[Path]:
    """Text files of a category, one per image; some categories keep them in a separate folder."""
    separate = folder / "questions_answers_YN"
    return sorted((separate if separate.is_dir() else folder).glob("*.txt"))


def _of_image(category: str, page: Path) -> list[Question]:
    lines = [line.split("\t") for line in page.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(lines) != 2 or any(len(line) != 2 or line[1].strip() not in ("Yes", "No") for line in lines):
        raise DataError(f"{page}: expected two lines of question, tab, and Yes or No; fetch the official file")
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
    """Path of the image, beside its questions or in `images/`; a missing file is reported when it is opened."""
    folder = page.parent.parent / "images" if page.parent.name == "questions_answers_YN" else page.parent
    names = [folder / f"{page.stem}{suffix}" for suffix in IMAGES]
    return next((name for name in names if name.is_file()), names[0])
