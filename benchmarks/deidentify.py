"""De-identification: files a second and peak memory over many drawn files.

    python benchmarks/deidentify.py --files 2000 --workers 2

Draws CT-like files (512 x 512, 16 bit) into a temporary folder and de-identifies them with the check.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from vesalius.data.deidentify import Options, deidentify

CT = "1.2.840.10008.5.1.4.1.1.2"


def drawn(number: int, size: int) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CT
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
        f"1.2.3.{number // 100}",
        f"1.2.3.4.{number // 50}",
    )
    dataset.PatientName, dataset.PatientID = f"DOE^JANE{number // 100}", f"MRN{number // 100:07}"
    dataset.PatientBirthDate, dataset.StudyDate, dataset.StudyTime = (
        "19700101",
        "20200229",
        "101010",
    )
    dataset.InstitutionName, dataset.StudyDescription = "ST ELSEWHERE", "chest, query pneumonia"
    dataset.Modality, dataset.Manufacturer, dataset.InstanceNumber = "CT", "Acme", number
    for element in range(40):
        dataset.add_new(0x00091000 + element, "LO", f"private {element}")
    dataset.add_new(0x00090010, "LO", "ACME 1.0")
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = size, size, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    pixels = np.random.default_rng(number).integers(0, 4096, (size, size), np.uint16)
    dataset.PixelData = pixels.tobytes()
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--files", type=int, default=2000)
    ask.add_argument("--size", type=int, default=512)
    ask.add_argument("--workers", type=int, default=2)
    ask.add_argument("--no-verify", action="store_true")
    arguments = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        source.mkdir()
        total = sum(
            (source / f"{n}.dcm").write_bytes(drawn(n, arguments.size))
            for n in range(arguments.files)
        )
        peaks: dict[str, int] = {"parent": 0, "worker": 0}
        stop = threading.Event()
        watcher = threading.Thread(target=watch, args=(peaks, stop))
        watcher.start()
        began = time.monotonic()
        options = Options(verify=not arguments.no_verify)
        done = deidentify(source, Path(folder, "out"), options, workers=arguments.workers)
        seconds = time.monotonic() - began
        stop.set()
        watcher.join()
    print(json.dumps({
        "files": done.statuses["done"], "megabytes": round(total / 1e6), "workers": arguments.workers,
        "verify": not arguments.no_verify, "seconds": round(seconds, 1),
        "files_per_second": round(arguments.files / seconds, 1),
        "cpu_ms_per_file": round(1000 * peaks.get("cpu", 0) / arguments.files, 2),
        "peak_rss_mb": {name: round(peaks[name] / 1e6) for name in ("parent", "worker")},
        "load": psutil.getloadavg()[0],
    }))  # fmt: skip


def watch(peaks: dict[str, int], stop: threading.Event) -> None:
    own, cpu = psutil.Process(), {}
    while not stop.wait(0.05):
        peaks["parent"] = max(peaks["parent"], own.memory_info().rss)
        for child in own.children():
            try:
                peaks["worker"] = max(peaks["worker"], child.memory_info().rss)
                cpu[child.pid] = sum(child.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
        peaks["cpu"] = sum(cpu.values())


if __name__ == "__main__":
    main()
