"""Orthanc hands each stable series on to a Vesalius service: one upload an image.

Runs in Orthanc's Python plug-in; nothing but the standard library is needed. VESALIUS_URL and
VESALIUS_KEY say where to. Logs hold Orthanc's own random ids, never what an image says.
"""

import json
import os
import queue
import threading
import time
import urllib.error
import urllib.request

import orthanc

URL = os.environ.get("VESALIUS_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("VESALIUS_KEY", "")
METADATA = 4200  # where the image id is noted; see UserMetadata in orthanc.json
TRIES = 8
LONGEST = 60.0  # seconds between two tries
BUSY = {429, 503, 504}

series = queue.Queue()


def on_change(change, _level, resource):
    """Called by Orthanc, which must not wait: the work is done in a thread."""
    if change == orthanc.ChangeType.STABLE_SERIES:
        series.put(resource)


def forward(resource):
    """Upload every image of a series that has not been uploaded before."""
    instances = json.loads(orthanc.RestApiGet(f"/series/{resource}"))["Instances"]
    for instance in instances:
        known = json.loads(orthanc.RestApiGet(f"/instances/{instance}/metadata"))
        if str(METADATA) in known or "vesalius-image" in known:
            continue
        image = upload(orthanc.RestApiGet(f"/instances/{instance}/file"), instance)
        if image:
            orthanc.RestApiPut(f"/instances/{instance}/metadata/{METADATA}", image.encode())


def upload(data, instance):
    """The image id that the service gives, or None; a busy service is asked again."""
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(request(data), timeout=120) as answer:
                return json.load(answer)["image_id"]
        except urllib.error.HTTPError as error:
            if error.code not in BUSY:
                # Its code says why: no picture in the object, too large, no such key ...
                orthanc.LogWarning(f"vesalius refused {instance}: {code(error)}")
                return None
            wait = float(error.headers.get("Retry-After") or 2**attempt)
        except OSError:
            wait = 2.0**attempt
        time.sleep(min(wait, LONGEST))
    orthanc.LogError(f"vesalius did not take {instance}: try again with a new series event")
    return None


def request(data):
    """A multipart form with the one field ``image_file``."""
    boundary = os.urandom(16).hex()
    head = (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="image_file"; filename="image.dcm"\r\n'
        "Content-Type: application/dicom\r\n\r\n"
    )
    body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    if KEY:
        headers["Authorization"] = f"Bearer {KEY}"
    return urllib.request.Request(f"{URL}/upload_image", body, headers, method="POST")


def code(error):
    """The stable code of a problem+json answer, or the HTTP status."""
    try:
        return str(json.load(error)["code"])
    except (ValueError, KeyError, TypeError):
        return str(error.code)


def work():
    """Series after series, for as long as Orthanc runs."""
    while True:
        resource = series.get()
        try:
            forward(resource)
        except Exception as error:  # noqa: BLE001 - one series must not end the thread
            orthanc.LogError(f"vesalius: series {resource}: {type(error).__name__}")
        finally:
            series.task_done()


threading.Thread(target=work, daemon=True).start()
orthanc.RegisterOnChangeCallback(on_change)
