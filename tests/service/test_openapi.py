"""What OpenAPI says holds: examples for every request and error, and answers of the said shape."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as slowly
from serving import Serving, png

from vesalius.service.http import problems

SOURCE = Path(__file__).resolve().parents[2] / "src" / "vesalius"
METHODS = {"get", "post", "delete"}


@pytest.fixture(scope="module")
def schema(api: Serving) -> dict:
    return api.client.get("/openapi.json").json()


def test_every_body_has_an_example_and_every_problem_one(schema: dict) -> None:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)
            body = operation.get("requestBody", {"content": {}})["content"]
            for kind, content in body.items():
                assert content["example"], (path, kind)
            for status, response in operation["responses"].items():
                for kind, content in response.get("content", {}).items():
                    assert content.get("schema"), (method, path, status, kind)
                if int(status) >= 400:
                    examples = response["content"][problems.MEDIA_TYPE]["examples"]
                    for code, example in examples.items():
                        assert example["value"]["status"] == int(status)
                        assert problems.TABLE[code].status == int(status)


def test_every_endpoint_of_the_contract_is_there(schema: dict) -> None:
    wanted = {
        "/upload_image": "post", "/ask_question": "post", "/caption": "post", "/feedback": "post",
        "/images/{image_id}": "get", "/conversations": "get",
        "/conversations/{conversation_id}": "delete",
        "/answers/{answer_id}/report": "post", "/answers/{answer_id}/fhir": "get",
        "/conversations/{conversation_id}/export": "get", "/model-card": "get",
        "/v1/chat/completions": "post", "/v1/responses": "post", "/v1/models": "get",
        "/healthz": "get", "/readyz": "get",
        "/metrics": "get", "/version": "get", "/review": "post",
        "/review/adjudication": "post", "/review/package": "get", "/review/table": "post",
    }  # fmt: skip
    for path, method in wanted.items():
        assert method in schema["paths"][path]


def codes() -> set[str]:
    """Every code that anything in the source refuses with, as written there."""
    literals = set()
    served = (p for p in SOURCE.glob("service/**/*.py") if "web" not in p.parts)
    for path in [*served, *SOURCE.glob("cases/*.py"), SOURCE / "system/workers.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            first = node.args[0]
            if name in {"Refusal", "ImageError"} and isinstance(first, ast.Constant):
                literals.add(first.value)
    return literals


def test_every_code_stands_in_the_table() -> None:
    assert codes() - set(problems.TABLE) == set()


@pytest.mark.filterwarnings("ignore")
def test_schemathesis_finds_no_answer_beyond_the_schema(api: Serving, schema: dict) -> None:
    """Every operation, with data made from the schema and against it."""
    image_id = api.image_id(png())
    answer = api.ask(image_id=image_id, question="x?").json()
    known = {
        "image_id": image_id,
        "conversation_id": answer["conversation_id"],
        "answer_id": answer["answer_id"],
    }
    loaded = schemathesis.openapi.from_dict(json.loads(json.dumps(schema)))
    loaded.config.update(base_url=api.url)
    tried = 0
    for operation in (result.ok() for result in loaded.get_all_operations()):
        if operation.method.lower() not in METHODS:
            continue

        @slowly(
            max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @schemathesis_given(operation)
        def tries(case: schemathesis.Case) -> None:
            nonlocal tried
            method = case.operation.method.lower()
            if isinstance(case.path_parameters, dict) and method != "delete":
                own = {k: known[k] for k in case.path_parameters if k in known}
                case.path_parameters.update(own)
            response = case.call(timeout=20)
            assert response.status_code != 500, response.text
            case.validate_response(response, excluded_checks=EXCLUDED)
            tried += 1

        tries()
    assert tried > 100


def schemathesis_given(operation: object):
    """Data for an operation, both as the schema says and not."""
    from hypothesis import given
    from hypothesis import strategies as st
    from schemathesis.generation import GenerationMode

    kinds = [
        operation.as_strategy(generation_mode=mode)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    ]
    return given(case=st.one_of(kinds))


# Checks that need state or another's knowledge: ids that exist, keys.
EXCLUDED = [
    getattr(schemathesis.checks, name)
    for name in (
        "positive_data_acceptance",
        "negative_data_rejection",
        "ignored_auth",
        "unsupported_method",
        "missing_required_header",
        "use_after_free",
        "ensure_resource_availability",
    )
    if hasattr(schemathesis.checks, name)
]
