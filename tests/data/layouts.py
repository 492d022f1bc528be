"""Small drawn data sets in each publisher's layout. Nothing here is copied from a real set."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet


def drawing(seed: int, size: tuple[int, int] = (64, 48), kind: str = "PNG") -> bytes:
    """A picture of random blocks: different for every seed, far from all others in its hash."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    image = Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, format=kind)
    return file.getvalue()


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def put_json(path: Path, content: object) -> Path:
    return put(path, json.dumps(content))


def put_lines(path: Path, rows: list[dict]) -> Path:
    return put(path, "".join(json.dumps(row) + "\n" for row in rows))


def put_zip(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def put_parquet(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = [
        {k: {"bytes": v, "path": None} if isinstance(v, bytes) else v for k, v in row.items()}
        for row in rows
    ]
    parquet.write_table(pa.Table.from_pylist(stored), path, row_group_size=2)
    return path


def roco(root: Path) -> dict:
    names = [f"ROCOv2_2023_train_{n:06d}" for n in (1, 2)]
    put_zip(root / "train_images.zip", {f"train/{n}.jpg": drawing(i) for i, n in enumerate(names)})
    captions = 'ID,Caption\n{},"CT, axial: a ""mass"", left"\n{},Chest radiograph\n'
    put(root / "train_captions.csv", captions.format(*names))
    put(root / "train_concepts.csv", f"ID,CUIs\n{names[0]},C0040405;C0577559\n{names[1]},\n")
    put(root / "train_concepts_manual.csv", f"ID,CUIs\n{names[1]},C1306645\n")
    put(root / "valid" / "ROCOv2_2023_valid_000001.png", drawing(7))
    put(root / "valid_captions.csv", "ID,Caption\nROCOv2_2023_valid_000001,MRI of a knee\n")
    put(
        root / "cui_mapping.csv",
        "CUI,Canonical name\nC0040405,X-Ray Computed Tomography\nC0577559,Mass\n",
    )
    return {}


def roco_old(root: Path) -> dict:
    folder = root / "train" / "radiology"
    put(folder / "captions.txt", 'ROCO_00001\t "Crazy paving" in a CT, axial\nROCO_00002\tKnee\n')
    put(folder / "cuis.txt", "ROCO_00001\tC0040405\tC0000001\n")
    put(folder / "images" / "ROCO_00001.jpg", drawing(1))
    put(folder / "images" / "ROCO_00002.jpg", drawing(2))
    return {}


def image_clef(root: Path) -> dict:
    year = "ImageCLEFmedical_Caption_2023"
    put(root / f"{year}_caption_train_labels.csv", f"ID\tCaption\n{year}_train_1\tA, b; c\n")
    concepts = f"ID\tCUIs\n{year}_train_1\tC0024485;C1\n"
    put(root / f"{year}_concept_detection_train_labels.csv", concepts)
    put(root / f"{year}_cui_mapping.csv", "C1\tsomething\nC0024485\tMagnetic resonance imaging\n")
    put(root / "train" / f"{year}_train_1.jpg", drawing(1, kind="JPEG"))
    put_zip(root / "test_images.zip", {f"{year}_test_{n}.jpg": drawing(n) for n in (2, 3)})
    return {}


def path_vqa(root: Path) -> dict:
    first, second = drawing(1), drawing(2)
    asked = [("what is it?", "a gland", first), ("is it?", "yes", second), ("why?", "no", first)]
    rows = [{"image": i, "question": q, "answer": a} for q, a, i in asked]
    put_parquet(root / "data" / "train-00000-of-00001.parquet", rows)
    put_parquet(root / "data" / "test-00000-of-00001.parquet", rows[:1])
    return {}


def path_vqa_pickled(root: Path) -> dict:
    rows = [{"image": "train_0001", "question": "what?", "answer": "a gland"}]
    put(root / "qas" / "train" / "train_qa.pkl", pickle.dumps(rows))
    put(root / "images" / "train" / "train_0001.jpg", drawing(1))
    return {"allow_pickle": True}


def slake_row(number: int, qid: int, question: str, answer: str, language: str = "en") -> dict:
    return {
        "img_id": number, "img_name": f"xmlab{number}/source.jpg", "question": question,
        "answer": answer, "q_lang": language, "location": "Abdomen", "modality": "MRI",
        "answer_type": "OPEN", "base_type": "vqa", "content_type": "Plane", "triple": ["vhead"],
        "qid": qid,
    }  # fmt: skip


def slake(root: Path) -> dict:
    for number in range(4):
        put(root / "imgs" / f"xmlab{number}" / "source.jpg", drawing(number))
    put_json(root / "imgs" / "xmlab0" / "detection.json", [{"Liver": [3, 4, 20.5, 10]}])
    rows = [
        slake_row(0, 1, "Which plane?", "Axial"),
        slake_row(1, 2, "Which plane?", "Coronal"),
        slake_row(0, 3, "什么平面?", "横断面", "zh"),
        slake_row(0, 4, "Is it MRI?", "Yes"),
    ]
    put_json(root / "train.json", rows)
    put_json(root / "validate.json", [slake_row(2, 5, "Which plane?", "Axial")])
    put_json(root / "test.json", [slake_row(3, 6, "Which plane?", "Axial")])
    return {}


def rad_row(qid: object, image: str, phrase: str, **more: object) -> dict:
    return {
        "qid": qid, "phrase_type": phrase, "image_name": image, "image_organ": "CHEST",
        "image_case_url": "https://example.org/case?id=1", "question": f"Question {qid}?",
        "question_type": "PRES", "answer": "Yes", "answer_type": "CLOSED",
    } | more  # fmt: skip


def vqa_rad(root: Path) -> dict:
    rows = [
        rad_row(1, "synpic1.jpg", "freeform", answer_type="CLOSED "),
        rad_row(2, "synpic2.jpg", "para", answer=5, answer_type="OPEN", question_type="POS, PRSE"),
        rad_row("3", "synpic1.jpg", "test_freeform", answer=" No "),
        rad_row(4, "synpic1.jpg", "freeform"),
    ]
    put_json(root / "VQA_RAD Dataset Public.json", rows)
    for number in (1, 2):
        put(root / "VQA_RAD Image Folder" / f"synpic{number}.jpg", drawing(number))
    return {}


def vqa_med(root: Path) -> dict:
    train = root / "ImageClef-2019-VQA-Med-Training"
    put(train / "QAPairsByCategory" / "C1_Modality_train.txt", "synpic1|what kind?|ct\n")
    put(
        train / "QAPairsByCategory" / "C2_Plane_train.txt", "synpic1|what plane?|axial#transverse\n"
    )
    put(train / "All_QA_Pairs_train.txt", "synpic1|what kind?|ct\nsynpic1|what plane?|axial\n")
    put(train / "Train_images" / "synpic1.jpg", drawing(1))
    test = root / "VQAMed2019Test"
    put(test / "VQAMed2019_Test_Questions.txt", "synpic2|what plane?\n")
    asked = "synpic2|plane|what plane?|sagittal\n"
    put(test / "VQAMed2019_Test_Questions_w_Ref_Answers.txt", asked)
    put(test / "VQAMed2019_Test_Images" / "synpic2.jpg", drawing(2))
    return {}


def medpix(root: Path) -> dict:
    said = {"Caption": "A mass.", "Modality": "CT", "Plane": "Axial"}
    names = ["MPX1_synpic1", "MPX1_synpic2"]
    rows = [{"Type": "CT", "U_id": "MPX1", "image": n, "Description": said} for n in names]
    put_json(root / "Descriptions.json", rows)
    case = {
        "History": "Cough.",
        "Findings": "SECRET",
        "Case Diagnosis": "SECRET",
        "Title": "SECRET",
    }
    put_json(root / "Case_topic.json", [{"U_id": "MPX1", "Case": case, "Topic": {}}])
    for number, name in enumerate(names):
        put(root / "images" / f"{name}.png", drawing(number))
    return {}


def coco(names: list[str]) -> dict:
    outline = [[5, 5, 25, 5, 25, 15, 5, 15]]
    box = {
        "id": 1,
        "image_id": 0,
        "category_id": 1,
        "bbox": [5, 5, 20, 10],
        "segmentation": outline,
    }
    return {
        "images": [{"id": at, "file_name": name} for at, name in enumerate(names)],
        "categories": [{"id": 0, "name": "brain"}, {"id": 1, "name": "tumor"}],
        "annotations": [box],
    }


def brain_tumor(root: Path) -> dict:
    for split, seed in (("train", 1), ("valid", 3)):
        names = [f"a{seed}_jpg.rf.abc.jpg", f"b{seed}_jpg.rf.def.jpg"]
        put_json(root / split / "_annotations.coco.json", coco(names))
        for number, name in enumerate(names):
            put(root / split / name, drawing(seed + number))
    return {}


def folder(root: Path) -> dict:
    put(root / "train.csv", "image,question,answer\nimages/a.png,what?,a\nimages/a.png,why?,b\n")
    put_lines(root / "test.jsonl", [{"image": "images/b.png", "caption": "A knee.", "boxes": []}])
    put(root / "images" / "a.png", drawing(1))
    put(root / "images" / "b.png", drawing(2))
    return {}


def dicom(root: Path) -> dict:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    held = Dataset()
    held.file_meta = FileMetaDataset()
    held.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    held.SOPClassUID = held.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    held.SOPInstanceUID = held.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    held.StudyInstanceUID, held.SeriesInstanceUID = generate_uid(), generate_uid()
    held.PatientID, held.Modality, held.InstanceNumber = "anonymous", "CT", 1
    held.Rows, held.Columns, held.SamplesPerPixel = 32, 32, 1
    held.BitsAllocated, held.BitsStored, held.HighBit, held.PixelRepresentation = 8, 8, 7, 0
    held.PhotometricInterpretation = "MONOCHROME2"
    held.PixelData = np.random.default_rng(1).integers(0, 256, 1024, dtype=np.uint8).tobytes()
    root.mkdir(parents=True, exist_ok=True)
    held.save_as(root / "a.dcm", enforce_file_format=True)
    return {}


LAYOUTS: dict[str, Callable[[Path], dict]] = {
    "brain_tumor": brain_tumor, "dicom": dicom, "folder": folder, "image_clef": image_clef,
    "medpix": medpix, "path_vqa": path_vqa, "roco": roco, "slake": slake, "vqa_med": vqa_med,
    "vqa_rad": vqa_rad,
}  # fmt: skip
