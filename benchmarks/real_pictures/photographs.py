"""The photographs: where each one is in its package, and who made it under which license."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packages import read_rcc
from PIL import Image, ImageOps

LONG_SIDE_PX, JPEG_QUALITY = 512, 82


@dataclass(frozen=True)
class Notice:
    """Who made a photograph, under which license, and where it was published."""

    author: str
    license: str
    source: str


@dataclass(frozen=True)
class Photograph:
    """A photograph in a package.

    Attributes:
        package: name in `packages.PHOTOGRAPHS`.
        path: of the file in the unpacked package; for GCompris `ACTIVITY/PATH` inside the activity's archive.
        notice: None where the archive has a README that gives it.
    """

    package: str
    path: str
    notice: Notice | None = None


def _gcompris(path: str) -> Photograph:
    return Photograph("gcompris-qt-data", path)


def _skimage(name: str, author: str, terms: str, source: str = "scikit-image") -> Photograph:
    return Photograph("scikit-image", f"skimage/data/{name}", Notice(author, terms, source))


def _sklearn(name: str, author: str, source: str) -> Photograph:
    return Photograph(
        "scikit-learn",
        f"sklearn/datasets/images/{name}",
        Notice(author, "CC-BY-2.0", f"https://www.flickr.com/photos/{source}"),
    )


def _lomiri(name: str, author: str, terms: str) -> Photograph:
    return Photograph(
        "lomiri-wallpapers-16.04", f"usr/share/backgrounds/{name}", Notice(author, terms, "lomiri-wallpapers")
    )


_ERASE, _WORLD, _FARM = "erase/", "explore_world_animals/animals/", "explore_farm_animals/animals/"
_TOOLS, _OTHERS, _FISH, _ENERGY, _MONUMENTS = (
    f"categorization/images/{folder}/" for folder in ("tools", "others", "fishes", "renewable", "monuments")
)
_PLACES, _MUSIC = "explore_monuments/", "explore_world_music/music/"
_ROCKET = _skimage("rocket.jpg", "SpaceX", "public domain", "https://www.flickr.com/photos/spacexphotos/16511594820/")

EVALUATION: dict[str, Photograph] = {
    **{
        name: _gcompris(f"{folder}{file}.webp")
        for folder, files in {
            _ERASE: {
                **{name: name for name in ("alpaca", "bee", "butterfly", "camels", "cheetah", "crab", "giraffe")},
                **{name: name for name in ("gosling", "heron", "horse", "kingfisher", "kitten", "macaque", "meerkats")},
                **{name: name for name in ("goat", "squirrel", "penguin", "rhinoceros", "swans", "toucan")},
            },
            _WORLD: {name: name for name in ("bison", "crocodile", "kangaroo", "koala", "polar_bear", "hedgehog")},
            _FARM: {name: name for name in ("chicken", "cow", "dog", "duck", "pig", "sheep")},
            _FISH: {"goldfish": "fish25"},
            _TOOLS: {
                "hammer": "hammer5",
                "tape_measure": "measuringTape1",
                "scissors": "scissors1",
                "screwdriver": "screwDriver2",
            },
            _OTHERS: {
                **{name: name for name in ("baseball", "bucket", "chair", "pan", "pillow", "plate", "bulb")},
                "blackboard": "blackslate",
                "cup": "buffetset",
                "eraser": "erasers",
                "cutlery": "knife",
            },
            _ENERGY: {"windmill": "windmill13", "dam": "dam1", "solar_panels": "solar4"},
            _MONUMENTS: {"pyramid": "greatPyramid", "arch": "arcDeTriomphe", "colosseum": "colosseum"},
            _PLACES: {
                "eiffel_tower": "france/eiffelTower",
                "castle": "france/chateaudeChambord",
                "aqueduct": "france/pontduGard",
                "cathedral": "france/reimsCathedral",
            },
            _MUSIC: {"band": "america", "drums": "africa"},
        }.items()
        for name, file in files.items()
    },
    "fig": _lomiri("Picture_0B_by_freespace.jpg", 'Trevor "Freespace"', "CC-BY-4.0"),
    "clock": _lomiri("greentock_by_Peter_Nerlich.jpg", "Peter Nerlich", "CC-BY-SA-4.0"),
    "dandelions": _lomiri("seeding_by_Clements_Engelhardt.jpg", "Clemens Engelhardt", "CC0-1.0"),
    "pagoda": _sklearn("china.jpg", "danielbuechele", "danielbuechele/6061409035/"),
    "dahlia": _sklearn("flower.jpg", "vultilion", "vultilion/6056698931/"),
    "astronaut": _skimage("astronaut.png", "NASA", "public domain", "https://flic.kr/p/r9qvLn"),
    "rocket": _ROCKET,
}

EXAMPLES: dict[str, Photograph] = {
    "cat": _skimage("chelsea.png", "Stefan van der Walt", "CC0-1.0"),
    "coffee": _skimage("coffee.png", "Rachel Michetti, Pikolo Espresso Bar", "CC0-1.0"),
    "rocket": _ROCKET,  # the only vehicle at hand, so it is in the evaluation set too
    "panda": _gcompris(f"{_WORLD}panda.webp"),
    "macaw": _gcompris(f"{_WORLD}scarlet_macaw.webp"),
    "neuschwanstein": _gcompris(f"{_PLACES}germany/neuschwansteinCastle.webp"),
}


def load(photograph: Photograph, folder: Callable[[str], Path]) -> tuple[Image.Image, Notice]:
    """The photograph at its final size, upright and on white, with its notice; `folder` gives that of a package."""
    root = folder(photograph.package)
    if photograph.package == "gcompris-qt-data":
        activity, _, path = photograph.path.partition("/")
        files = _archive(root / f"usr/share/gcompris-qt/rcc/{activity}.rcc")
        data = files[f"/gcompris/src/activities/{activity}/resource/{path}"]
        notice = _gcompris_notice(files, f"/gcompris/src/activities/{activity}/resource/{path}")
    else:
        data, notice = (root / photograph.path).read_bytes(), photograph.notice
    assert notice is not None
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGBA")
    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image)
    rgb = canvas.convert("RGB")
    rgb.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX), Image.Resampling.LANCZOS)
    return rgb, notice


@cache
def _archive(file: Path) -> dict[str, bytes]:
    return read_rcc(file)


def _gcompris_notice(files: dict[str, bytes], path: str) -> Notice:
    """The entry of the nearest README that lists the file.

    An entry is a paragraph with the lines `Copyright:`, `License:`, `Source:` and `Files:`. Raises `ValueError`.
    """
    folder, name = path.rpartition("/")[::2]
    while folder:
        if readme := files.get(f"{folder}/README"):
            listed = path[len(folder) + 1 :]
            for entry in readme.decode().split("\n\n"):
                if re.search(rf"(^|\s){re.escape(listed)}\s*$", entry, re.MULTILINE):
                    fields = dict(re.findall(r"^(Copyright|License|Source): *(.+)$", entry, re.MULTILINE))
                    return Notice(fields["Copyright"], fields["License"], fields["Source"])
        folder = folder.rpartition("/")[0]
    raise ValueError(f"{path}: no README names {name}; leave it out, its license is unknown")
