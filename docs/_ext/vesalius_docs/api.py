"""The Python reference: the public names, then the modules that hold the verbs."""

from __future__ import annotations

MODULES = {
    "The steps": (
        "vesalius.steps.fit",
        "vesalius.steps.predict",
        "vesalius.steps.probe",
        "vesalius.steps.evaluate",
        "vesalius.steps.report",
        "vesalius.steps.retrieve",
        "vesalius.combine.retrieval.retrieve",
        "vesalius.steps.export",
        "vesalius.steps.plan",
        "vesalius.steps.tiny",
        "vesalius.steps.prepare",
        "vesalius.steps.demo",
    ),
    "Data": (
        "vesalius.data.open",
        "vesalius.data.check",
        "vesalius.data.split",
        "vesalius.data.audit",
        "vesalius.data.imports",
        "vesalius.data.dialogues",
        "vesalius.data.visual_dialogue.upgrade",
        "vesalius.data.visual_dialogue.files",
        "vesalius.data.perturb",
        "vesalius.data.perturb.stock",
        "vesalius.data.sheet",
        "vesalius.data.cards",
        "vesalius.data.fingerprints",
    ),
    "Evaluation": (
        "vesalius.evaluation.histories",
        "vesalius.evaluation.evaluate",
        "vesalius.evaluation.compare",
        "vesalius.evaluation.score",
        "vesalius.evaluation.stats",
        "vesalius.evaluation.calibration",
        "vesalius.evaluation.probes",
        "vesalius.evaluation.probe_results",
        "vesalius.evaluation.report",
    ),
    "Contracts to extend": (
        "vesalius.data.datasets",
        "vesalius.data.reading.streams",
        "vesalius.models",
        "vesalius.models.build",
        "vesalius.evaluation.metrics",
        "vesalius.evaluation.metrics.table",
        "vesalius.registry",
        "vesalius.cases.tasks",
        "vesalius.cli.extensions",
    ),
    "Pictures, files and errors": (
        "vesalius.cases.image",
        "vesalius.cases.decoded",
        "vesalius.recipe",
        "vesalius.recipe.blocks",
        "vesalius.recipe.claim",
        "vesalius.run",
        "vesalius.system.files",
        "vesalius.errors",
    ),
}
HEAD = """# Python

`import vesalius` gives the nouns and verbs below, each imported when it is first used: it loads no
torch. A verb takes and returns what the command of its name does, and prints nothing.

## Public names
"""


def page() -> str:
    """Directives for autodoc: public names first, each documented once."""
    import vesalius

    public = {name: getattr(vesalius, name) for name in vesalius.__all__}
    parts = [HEAD, "```{eval-rst}"]
    for name, thing in public.items():
        directive = "autoclass" if isinstance(thing, type) else "autofunction"
        parts += [f".. {directive}:: vesalius.{name}"]
        parts += ["   :members:"] if isinstance(thing, type) else []
        parts += [""]
    parts += ["```\n"]
    for title, modules in MODULES.items():
        parts += [f"## {title}\n"]
        for module in modules:
            elsewhere = [n for n, thing in public.items() if thing.__module__ == module]
            parts += [f"### {module}\n", "```{eval-rst}", f".. automodule:: {module}"]
            parts += ["   :members:"]
            parts += [f"   :exclude-members: {', '.join(elsewhere)}"] if elsewhere else []
            parts += ["```\n"]
    return "\n".join(parts)
