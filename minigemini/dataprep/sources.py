"""The data sources of the paper (arXiv 2403.18814, section 4.1).

`paper` is the number in the paper; `available` is the number that a source's publishers state or that follows from its
published splits. If the paper gives no selection rule, the rule is ours and says so. Checksums were published by third
parties (COCO: GluonCV; AI2D and ChartQA: records of archives on the hub).
"""

import difflib

from .source_spec import RemoteFile, SourceSpec

_PRE, _FINE, _EVAL = "MGM-Pretrain", "MGM-Finetune", "MGM-Eval"
_COCO = RemoteFile(
    f"{_FINE}/coco/train2017.zip",
    "http://images.cocodataset.org/zips/train2017.zip",
    sha1="10ad623668ab00c62c096f0ed636d6aff41faca5",
    unpack=f"{_FINE}/coco/train2017",
)
# In May 2024 samples were removed from ALLaVA's files (469K and 195K remain); this revision predates that.
_ALLAVA = "hf://datasets/FreedomIntelligence/ALLaVA-4V@ece3d9145a227e4769b6dc3326dd19f04ece7752"
_ALLAVA_DECAY = (
    "Current files on the hub have a tenth fewer samples; the declared revision is from the time of the paper. Images "
    "were renamed between releases (.jpeg, .jpg, .png): `data validate --fix` finds images whose suffix changed."
)
_SHARED_DRIVE = "on the page, a Google Drive folder; unpack it to {}"


def _allava_images(root: str) -> tuple[RemoteFile, ...]:
    chunks = tuple(
        RemoteFile(
            f"{root}/allava_laion/image_chunks/images_{n}.zip",
            f"{_ALLAVA}/allava_laion/image_chunks/images_{n}.zip",
            unpack=f"{root}/allava_laion/images",
        )
        for n in range(10)
    )
    vision_flan = RemoteFile(
        f"{root}/allava_vflan/image_191-task_1k.zip",
        "hf://datasets/Vision-Flan/vision-flan_191-task_1k/image_191-task_1k.zip",
        unpack=f"{root}/allava_vflan/images",
    )
    return (*chunks, vision_flan)


def _allava(root: str, kind: str) -> tuple[RemoteFile, ...]:
    names = [f"allava_{part.lower()}/ALLaVA-{kind}-{part}-4V.json" for part in ("LAION", "VFLAN")]
    records = tuple(RemoteFile(f"{root}/{name}", f"{_ALLAVA}/{name}") for name in names)
    return records + _allava_images(root)


def _by_hand(folder: str) -> RemoteFile:
    return RemoteFile(f"{_FINE}/{folder}/", by_hand=_SHARED_DRIVE.format(f"{_FINE}/{folder}"))


_ALIGNMENT = (
    SourceSpec(
        name="llava-pretrain",
        title="LLaVA's selection of LAION, CC3M and SBU, captioned by BLIP",
        stage="alignment",
        page="https://huggingface.co/datasets/liuhaotian/LLaVA-Pretrain",
        licence="that of CC3M and of BLIP's captions; images belong to their owners",
        files=(
            RemoteFile(
                f"{_PRE}/llava/LLaVA-Pretrain/blip_laion_cc_sbu_558k.json",
                "hf://datasets/liuhaotian/LLaVA-Pretrain/blip_laion_cc_sbu_558k.json",
            ),
            RemoteFile(
                f"{_PRE}/llava/LLaVA-Pretrain/images.zip",
                "hf://datasets/liuhaotian/LLaVA-Pretrain/images.zip",
                unpack=f"{_PRE}/llava/LLaVA-Pretrain/images",
            ),
        ),
        format="llava",
        images=f"{_PRE}/llava/LLaVA-Pretrain/images",
        available=558_128,
        rule="all",
        paper="558K",
    ),
    SourceSpec(
        name="allava-captions",
        title="ALLaVA-4V captions of LAION and Vision-FLAN images, by GPT-4V",
        stage="alignment",
        page="https://huggingface.co/datasets/FreedomIntelligence/ALLaVA-4V",
        licence="Apache-2.0; OpenAI's terms for its answers; images belong to their owners",
        files=_allava(f"{_PRE}/ALLaVA-4V", "Caption"),
        format="llava",
        images=f"{_PRE}/ALLaVA-4V",
        available=708_140,
        take=695_000,
        rule="695,000 drawn by the seed (the paper only says sampled)",
        paper="695K",
        decay=_ALLAVA_DECAY,
    ),
)

_INSTRUCTION = (
    SourceSpec(
        name="llava-mix665k",
        title="LLaVA-1.5's mix: COCO, GQA, OCR-VQA, VisualGenome, text only",
        stage="instruction",
        page="https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K",
        licence="CC-BY-4.0; OpenAI's terms for its answers; images under the terms of their sets",
        files=(
            RemoteFile(
                f"{_FINE}/llava_v1_5_mix665k.json",
                "hf://datasets/liuhaotian/LLaVA-Instruct-150K/llava_v1_5_mix665k.json",
            ),
            _COCO,
            RemoteFile(
                f"{_FINE}/gqa/images.zip",
                "https://downloads.cs.stanford.edu/nlp/data/gqa/images.zip",
                unpack=f"{_FINE}/gqa/images",
            ),
            RemoteFile(
                f"{_FINE}/ocr_vqa/images/",
                by_hand=f"a script on LLaVA's page fetches each cover; put them into {_FINE}/ocr_vqa/images",
            ),
            RemoteFile(
                f"{_FINE}/vg/images.zip",
                "https://cs.stanford.edu/people/rak248/VG_100K_2/images.zip",
                unpack=f"{_FINE}/vg/VG_100K",
            ),
            RemoteFile(
                f"{_FINE}/vg/images2.zip",
                "https://cs.stanford.edu/people/rak248/VG_100K_2/images2.zip",
                unpack=f"{_FINE}/vg/VG_100K_2",
            ),
        ),
        format="llava",
        images=_FINE,
        available=643_345,
        rule="all but TextCaps: images under textvqa/, 21,953 of 665,298",
        paper="643K",
        decay="OCR-VQA covers are gif or png under a .jpg name, and some are gone: images are read by content, and "
        "`data validate --fix` leaves out what is gone.",
    ),
    SourceSpec(
        name="sharegpt4v",
        title="ShareGPT4V's captions by GPT-4V",
        stage="instruction",
        page="https://huggingface.co/datasets/Lin-Chen/ShareGPT4V",
        licence="CC-BY-NC-4.0; OpenAI's terms for its answers; images under the terms of their sets",
        files=(
            RemoteFile(
                f"{_FINE}/sharegpt4v_instruct_gpt4-vision_cap100k.json",
                "hf://datasets/Lin-Chen/ShareGPT4V/sharegpt4v_instruct_gpt4-vision_cap100k.json",
            ),
            _COCO,
            *(
                _by_hand(f"{name}/images")
                for name in ("sam", "wikiart", "web-celebrity", "web-landmark", "share_textvqa")
            ),
        ),
        format="llava",
        images=_FINE,
        available=102_025,
        rule="all",
        paper="100K",
        decay="Images of llava/llava_pretrain are LLaVA-Pretrain's: link that folder. share_textvqa holds TextVQA's "
        "training pictures: `data validate --evaluation` shows what of an evaluation set is among them.",
    ),
    SourceSpec(
        name="laion-gpt4v",
        title="LAION's captions by GPT-4V",
        stage="instruction",
        page="https://huggingface.co/datasets/laion/gpt4v-dataset",
        licence="see its page; OpenAI's terms for its answers; images belong to their owners",
        files=(
            RemoteFile(
                f"{_FINE}/gpt4v-dataset/train.parquet",
                by_hand="on the page, the one Parquet file under data/; its name has a hash in it",
            ),
            RemoteFile(
                f"{_FINE}/gpt4v-dataset/images/",
                by_hand="each row's `link`, saved as the row's number and the link's ending (7.png is row 7)",
            ),
        ),
        format="laion-gpt4v",
        images=f"{_FINE}/gpt4v-dataset/images",
        available=12_356,
        take=10_000,
        rule="at most 10,000 rows whose image exists, drawn by the seed (the rule is ours)",
        paper="10K",
        decay="Most links are dead (Discord's expire). Rows without an image are excluded before drawing.",
    ),
    SourceSpec(
        name="allava-instruct",
        title="ALLaVA-4V instructions over LAION and Vision-FLAN pictures, by GPT-4V",
        stage="instruction",
        page="https://huggingface.co/datasets/FreedomIntelligence/ALLaVA-4V",
        licence="Apache-2.0; OpenAI's terms for its answers; images belong to their owners",
        files=_allava(f"{_FINE}/ALLaVA-4V", "Instruct"),
        format="llava",
        images=f"{_FINE}/ALLaVA-4V",
        available=708_653,
        take=700_000,
        rule="700,000 drawn by the seed (the rule is ours)",
        paper="700K",
        decay=_ALLAVA_DECAY,
    ),
    SourceSpec(
        name="lima",
        title="LIMA: a thousand curated answers",
        stage="instruction",
        page="https://huggingface.co/datasets/GAIR/lima",
        licence="CC-BY-NC-SA, or the terms of its own sources if stricter",
        files=(RemoteFile(f"{_FINE}/lima/train.jsonl", "hf://datasets/GAIR/lima/train.jsonl"),),
        format="lima",
        images=None,
        available=1_030,
        rule="all",
        paper="6K with OpenAssistant2",
        decay="Accept its terms on the hub, then run `hf auth login`.",
    ),
    SourceSpec(
        name="oasst2",
        title="OpenAssistant2: conversations written by people, as ranked trees",
        stage="instruction",
        page="https://huggingface.co/datasets/OpenAssistant/oasst2",
        licence="Apache-2.0",
        files=(
            RemoteFile(
                f"{_FINE}/oasst2/2023-11-05_oasst2_ready.trees.jsonl.gz",
                "hf://datasets/OpenAssistant/oasst2/2023-11-05_oasst2_ready.trees.jsonl.gz",
            ),
        ),
        format="oasst2",
        images=None,
        available=None,
        take=5_000,
        rule="the best-ranked path of each English tree, at most 5,000 drawn by the seed (the rule is ours)",
        paper="6K with LIMA",
    ),
    SourceSpec(
        name="docvqa",
        title="DocVQA: questions about scanned pages",
        stage="instruction",
        page="https://www.docvqa.org/datasets/docvqa",
        licence="for research, by its terms of registration; pages from the UCSF Industry Documents Library",
        files=(
            RemoteFile(
                f"{_FINE}/docvqa/train_v1.0_withQT.json", by_hand="on the page, after registration: Task 1, annotations"
            ),
            RemoteFile(
                f"{_FINE}/docvqa/images/",
                by_hand=f"on the page, after registration: Task 1, images; put them into {_FINE}/docvqa/images",
            ),
        ),
        format="docvqa",
        images=f"{_FINE}/docvqa/images",
        available=10_194,
        rule="one conversation per page of the training split, with all its questions (the rule is ours)",
        paper="10K",
    ),
    SourceSpec(
        name="chartqa",
        title="ChartQA: questions about charts, asked by people",
        stage="instruction",
        page="https://github.com/vis-nlp/ChartQA",
        licence="GPL-3.0",
        files=(
            RemoteFile(
                f"{_FINE}/chartqa/ChartQA Dataset/train/train_human.json", by_hand="unpacked from ChartQA Dataset.zip"
            ),
            RemoteFile(
                f"{_FINE}/chartqa/ChartQA Dataset.zip",
                "hf://datasets/ahmed-masry/ChartQA@af8b6f5c08c95085271561c2a3f9d15f2b5a9031/ChartQA Dataset.zip",
                size=875_370_872,
                sha256="1bf310e5a51101681495c4a24f4f29d22c4f70b52df24e2e4feb0d79cae3c160",
                unpack=f"{_FINE}/chartqa",
            ),
        ),
        format="chartqa",
        images=f"{_FINE}/chartqa/ChartQA Dataset/train/png",
        available=3_699,
        rule="one conversation per chart of the training split with human questions (the rule is ours)",
        paper="4K",
    ),
    SourceSpec(
        name="dvqa",
        title="DVQA: questions about synthetic bar charts",
        stage="instruction",
        page="https://github.com/kushalkafle/DVQA_dataset",
        licence="CC-BY-NC-4.0",
        files=(
            RemoteFile(f"{_FINE}/dvqa/train_qa.json", by_hand="on the page, in qa.tar.gz"),
            RemoteFile(f"{_FINE}/dvqa/images/", by_hand=f"on the page, images.tar.gz; unpack it to {_FINE}/dvqa"),
        ),
        format="dvqa",
        images=f"{_FINE}/dvqa/images",
        available=200_000,
        take=10_000,
        rule="10,000 charts of the training split drawn by the seed, one conversation each (the rule is ours)",
        paper="10K",
    ),
    SourceSpec(
        name="ai2d",
        title="AI2D: questions about science diagrams",
        stage="instruction",
        page="https://prior.allenai.org/projects/diagram-understanding",
        licence="for research, not redistributed; see its page",
        files=(
            RemoteFile(
                f"{_FINE}/ai2d/ai2d_test_ids.csv",
                "https://s3-us-east-2.amazonaws.com/prior-datasets/ai2d_test_ids.csv",
            ),
            RemoteFile(
                f"{_FINE}/ai2d/ai2d-all.zip",
                "https://ai2-website.s3.amazonaws.com/data/ai2d-all.zip",
                size=990_965_374,
                sha256="1a6b77eebb8b7dbdf76a0ba6ca76c2f97ce8f81d8ee33b06593aa722e54c4786",
                unpack=f"{_FINE}/ai2d",
            ),
        ),
        format="ai2d",
        images=f"{_FINE}/ai2d",
        available=3_921,
        rule="one conversation per diagram, except the 982 of 4,903 in ai2d_test_ids.csv (the rule is ours)",
        paper="4K",
    ),
)

_OTHERS = (
    SourceSpec(
        name="mgm-generation",
        title="conversations that end with an image to draw: re-captions and in-context prompts",
        stage="generation",
        page="https://huggingface.co/datasets/YanweiLi/MGM-Instruction",
        licence="see its page; OpenAI's terms for its answers",
        files=(
            RemoteFile(
                f"{_FINE}/mgm_generation_pure_text.json",
                "hf://datasets/YanweiLi/MGM-Instruction/mgm_generation_pure_text.json",
            ),
        ),
        format="llava",
        images=None,
        available=13_000,
        rule="all. According to the authors, mgm_instruction.json already contains these: do not add them to it",
        paper="13K (8K and 5K)",
    ),
    SourceSpec(
        name="mgm-pretrain",
        title="the authors' own list of the alignment stage",
        stage="merged",
        page="https://huggingface.co/datasets/YanweiLi/MGM-Pretrain",
        licence="those of its sources",
        files=(RemoteFile(f"{_PRE}/mgm_pretrain.json", "hf://datasets/YanweiLi/MGM-Pretrain/mgm_pretrain.json"),),
        format="llava",
        images=_PRE,
        available=None,
        rule="all",
        paper="1.2M",
        decay="It contains no images: fetch those of llava-pretrain and allava-captions.",
    ),
    SourceSpec(
        name="mgm-instruction",
        title="the authors' own list of the instruction stage, the generation set included",
        stage="merged",
        page="https://huggingface.co/datasets/YanweiLi/MGM-Instruction",
        licence="those of its sources",
        files=(
            RemoteFile(f"{_FINE}/mgm_instruction.json", "hf://datasets/YanweiLi/MGM-Instruction/mgm_instruction.json"),
        ),
        format="llava",
        images=_FINE,
        available=None,
        rule="all",
        paper="1.5M",
        decay="It contains no images: fetch those of the instruction sources.",
    ),
    SourceSpec(
        name="textvqa-val",
        title="TextVQA's validation questions: pictures that no training part may show",
        stage="evaluation",
        page="https://textvqa.org/dataset",
        licence="CC-BY-4.0",
        files=(
            RemoteFile(
                f"{_EVAL}/textvqa/TextVQA_0.5.1_val.json",
                "https://dl.fbaipublicfiles.com/textvqa/data/TextVQA_0.5.1_val.json",
            ),
            RemoteFile(
                f"{_EVAL}/textvqa/train_val_images.zip",
                "https://dl.fbaipublicfiles.com/textvqa/images/train_val_images.zip",
                unpack=f"{_EVAL}/textvqa/train_images",
            ),
        ),
        format="textvqa",
        images=f"{_EVAL}/textvqa/train_images",
        available=5_000,
        rule="all, for comparison only",
        paper="evaluation",
    ),
)

SOURCES = {source.name: source for source in (*_ALIGNMENT, *_INSTRUCTION, *_OTHERS)}
"""All sources by name."""

MIXTURES = {
    "MGM-Pretrain": tuple(source.name for source in _ALIGNMENT),
    "MGM-Instruction": (*(source.name for source in _INSTRUCTION), "mgm-generation"),
}
"""Sources of each training stage of the paper."""


def find_source(name: str) -> SourceSpec:
    """Find a source by name.

    Raises:
        ValueError: There is no such source; the message lists similar names.
    """
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, n=3, cutoff=0.5) or list(SOURCES)
        raise ValueError(f"unknown source {name!r}; did you mean {', '.join(near)}?")
    return SOURCES[name]
