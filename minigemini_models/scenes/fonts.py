"""Fonts for text in scenes, installed as packages by `pip install minigemini[world]`."""

from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path

from PIL import ImageFont

TRAINING_FONTS = (
    "Roboto-Regular", "Roboto-Bold", "Roboto-Medium", "Roboto-Black", "Roboto-Italic", "Lato-Regular", "Lato-Bold",
    "Lato-Black", "SourceSansPro-Regular", "SourceSansPro-Semibold", "SourceSansPro-Bold", "SourceSansPro-BoldIt",
    "SourceSerifPro-Regular", "SourceSerifPro-Bold", "Manrope-Medium", "Manrope-Bold", "FredokaOne-Regular",
    "FiraSans-Regular", "FiraSans-Medium", "FiraSans-Bold", "FiraSansCondensed-Medium", "FiraSansCondensed-Bold",
    "IBMPlexSerif-Regular", "IBMPlexSerif-SemiBold", "PT_Serif-Web-Regular", "PT_Serif-Web-Bold", "DMMono-Regular",
    "DMMono-Medium",
)  # fmt: skip
_WEIGHTS = {
    "Roboto": "Light LightItalic Regular Italic Medium MediumItalic Bold BoldItalic Black BlackItalic",
    "Lato": "Light LightItalic Regular Italic Bold BoldItalic Black BlackItalic",
    "SourceSansPro": "Light LightIt Regular It Semibold SemiboldIt Bold BoldIt Black BlackIt",
    "SourceSerifPro": "Light LightIt Regular It Semibold SemiboldIt Bold BoldIt Black BlackIt",
    "Manrope": "Light Regular Medium SemiBold Bold ExtraBold",
    "FredokaOne": "Regular",
    "FiraSans": "Light LightItalic Regular Italic Medium MediumItalic SemiBold Bold BoldItalic ExtraBold Black",
    "FiraSansCondensed": "Light Regular Italic Medium MediumItalic SemiBold Bold BoldItalic ExtraBold Black",
    "IBMPlexSerif": "Light LightItalic Regular Italic Medium MediumItalic SemiBold Bold BoldItalic",
    "PT_Serif-Web": "Regular Italic Bold BoldItalic",
    "DMMono": "Light LightItalic Regular Italic Medium MediumItalic",
}
ALL_TRAINING_FONTS = tuple(f"{family}-{weight}" for family, names in _WEIGHTS.items() for weight in names.split())
"""The families of `TRAINING_FONTS` in all weights but the thinnest, upright and italic."""
HELD_OUT_FONTS = ("RedHatDisplay-Medium", "Caladea-Bold", "FjallaOne-Regular", "DMSerifText-Regular")
"""Families held out from training: one related to the training fonts, two with serifs, one condensed."""

_CAP_HEIGHT_PROBE_PX = 200


@lru_cache(maxsize=1)
def installed_fonts() -> dict[str, Path]:
    """Return the path of every installed font by its file stem, from the entry points of font packages."""
    folders = {Path(path).parent for entry in entry_points(group="fonts_ttf") for path in entry.load().values()}
    folders |= {entry.load().ROOT / "files" for entry in entry_points(group="fontpkg.family")}
    return {path.stem: path for folder in sorted(folders) for path in sorted(folder.glob("*.ttf"))}


@lru_cache(maxsize=1024)
def load_font(name: str, cap_height_px: int) -> ImageFont.FreeTypeFont:
    """Load a font at the size at which its capitals are `cap_height_px` high.

    Raises:
        ModuleNotFoundError: the font is not installed.
    """
    path = installed_fonts().get(name)
    if path is None:
        raise ModuleNotFoundError(f"font {name} is not installed: pip install 'minigemini[world]'")
    return ImageFont.truetype(str(path), size=cap_height_px / _cap_height_ratio(name))


@lru_cache(maxsize=64)
def _cap_height_ratio(name: str) -> float:
    font = ImageFont.truetype(str(installed_fonts()[name]), size=_CAP_HEIGHT_PROBE_PX)
    _, top, _, bottom = font.getbbox("H", anchor="ls")
    return (bottom - top) / _CAP_HEIGHT_PROBE_PX
