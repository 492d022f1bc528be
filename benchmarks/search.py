"""Similar pictures: exact search against scikit-learn's brute force, approximate search, encoding.

Vectors are drawn: clusters on the unit sphere, as encoders' are. scikit-learn is used in the
published way, NearestNeighbors(algorithm="brute", metric="cosine") fitted on the vectors in memory;
ours are in a mapped file. Each number is the least of three calls ($REPEATS), of the wall clock and of the
processor's time (all threads together), as other work may run beside. Memory is what a search adds
to the process, pages of the mapped file left out.

    python benchmarks/search.py exact --rows 100000
    python benchmarks/search.py exact --rows 1000000 --queries 1 64
    python benchmarks/search.py approximate --rows 100000 --kind hnsw
    python benchmarks/search.py encode
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import psutil
from PIL import Image

from vesalius.cases.picture import Picture
from vesalius.combine.retrieval.stores import ApproximateStore, FlatStore
from vesalius.combine.retrieval.tensors import mapped_tensors, write_tensors

WIDTH, K, CLUSTERS = 512, 10, 1000
SPREAD = 0.9
"""Of a cluster, against its centre's length of one: neighbours have a cosine of about .55."""


def drawn(count: int, seed: int) -> np.ndarray:
    """Unit vectors (count, 512) around the same 1,000 centres, float32."""
    centres = np.random.default_rng(0).normal(size=(CLUSTERS, WIDTH)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, WIDTH), dtype=np.float32)
    vectors *= SPREAD / WIDTH**0.5
    for at in range(0, count, 65536):
        part = vectors[at : at + 65536]
        part += centres[rng.integers(0, CLUSTERS, len(part))]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


class Memory:
    """The most that a process holds of its own while the block runs, in MiB."""

    def __enter__(self) -> Memory:
        self._process, self._on, self._most = psutil.Process(), True, 0
        self._before = self._own()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._on = False
        self._thread.join()
        self.mib = round((self._most - self._before) / 2**20)

    def _own(self) -> int:
        info = self._process.memory_info()
        return int(info.rss - info.shared)

    def _watch(self) -> None:
        while self._on:
            self._most = max(self._most, self._own())
            time.sleep(0.005)


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Least wall-clock and processor seconds of $REPEATS calls, three by default."""
    walls, cpus = [], []
    for _ in range(int(os.environ.get("REPEATS", "3"))):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return round(min(walls), 4), round(min(cpus), 4)


def exact(rows: int, batches: list[int], folder: Path) -> Iterator[dict[str, Any]]:
    from sklearn.neighbors import NearestNeighbors

    vectors, queries = stored(rows, folder), drawn(max(batches), 2)
    ours = FlatStore(vectors)
    ours.search(queries[:1], K)  # the file's pages are in memory, as scikit-learn's are
    published = NearestNeighbors(n_neighbors=K, algorithm="brute", metric="cosine")
    with Memory() as fitting:
        published.fit(np.array(vectors))
    for count in batches:
        some = queries[:count]
        with Memory() as their_memory:
            theirs = timed(lambda some=some: published.kneighbors(some))
        with Memory() as our_memory:
            own = timed(lambda some=some: ours.search(some, K))
        same = published.kneighbors(some)[1] == ours.search(some, K)[1]
        yield {
            "rows": rows,
            "queries": count,
            "scikit_learn_s": theirs,
            "ours_s": own,
            "ratio_wall": round(theirs[0] / own[0], 1),
            "ratio_cpu": round(theirs[1] / own[1], 1),
            "same_neighbours": round(float(same.mean()), 4),
            "scikit_learn_mib": fitting.mib + their_memory.mib,
            "ours_mib": our_memory.mib,
        }


def approximate(rows: int, kind: str, recall: float, folder: Path) -> list[dict[str, Any]]:
    vectors, queries = stored(rows, folder), drawn(256, 2)
    wall, cpu = time.perf_counter(), time.process_time()
    store = ApproximateStore.build(vectors, kind, recall)
    built = round(time.perf_counter() - wall, 1), round(time.process_time() - cpu, 1)
    flat = FlatStore(vectors)
    truth, met = flat.search(queries, K)[1], store.search(queries, K)[1]
    share = np.mean([len(set(a) & set(b)) / K for a, b in zip(truth, met, strict=True)])
    one = queries[:1]
    return [
        {
            "rows": rows,
            "kind": kind,
            "effort": store.effort,
            "build_s": built,
            "recall_stored": round(store.recall, 4),
            "recall_of_new_queries": round(float(share), 4),
            "one_query_s": timed(lambda: store.search(one, K)),
            "one_query_exact_s": timed(lambda: flat.search(one, K)),
            "256_queries_s": timed(lambda: store.search(queries, K)),
            "256_queries_exact_s": timed(lambda: flat.search(queries, K)),
        }
    ]


def encode(count: int) -> list[dict[str, Any]]:
    """Pictures of 1024 x 1024, JPEG, by the packaged encoder: the plain loop, and one ahead."""
    from vesalius.models.encoders import image_encoder
    from vesalius.models.prefetch import ahead

    rng, files = np.random.default_rng(0), []
    for _ in range(count):
        small = rng.integers(0, 255, (64, 64), dtype=np.uint8)
        file = BytesIO()
        Image.fromarray(small).resize((1024, 1024), Image.Resampling.BICUBIC).save(file, "JPEG")
        files.append(file.getvalue())
    pictures = [Picture(str(n), lambda data=data: data) for n, data in enumerate(files)]
    encoder = image_encoder()
    batches = [pictures[at : at + 16] for at in range(0, count, 16)]

    def plain() -> None:
        for some in batches:
            encoder._encode(encoder._pixels(some))

    def overlapped() -> None:
        for pixels in ahead(encoder._pixels(some) for some in batches):
            encoder._encode(pixels)

    walls = {"plain": timed(plain), "overlapped": timed(overlapped)}
    rates = {f"{name}_pictures_s": round(count / wall, 1) for name, (wall, _) in walls.items()}
    ratio = round(walls["plain"][0] / walls["overlapped"][0], 2)
    return [{"pictures": count, **rates, "ratio": ratio, "seconds": walls}]


def stored(rows: int, folder: Path) -> np.ndarray:
    """The vectors in a file, mapped."""
    write_tensors(folder / "v.safetensors", {"vectors": drawn(rows, 1)})
    return mapped_tensors(folder / "v.safetensors", "vectors")["vectors"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["exact", "approximate", "encode"])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, nargs="+", default=[1, 16, 256])
    parser.add_argument("--kind", choices=["ivf", "hnsw"], default="ivf")
    parser.add_argument("--recall", type=float, default=0.95)
    parser.add_argument("--pictures", type=int, default=96)
    parser.add_argument("--folder", type=Path, help="where the file of vectors is written")
    args = parser.parse_args()
    print(json.dumps({"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}))
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        if args.what == "exact":
            lines: Iterable[dict[str, Any]] = exact(args.rows, args.queries, Path(folder))
        elif args.what == "approximate":
            lines = approximate(args.rows, args.kind, args.recall, Path(folder))
        else:
            lines = encode(args.pictures)
        for line in lines:
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
