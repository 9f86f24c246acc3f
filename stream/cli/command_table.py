"""The commands by the panels of the help, as the program knows them before it imports one."""

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a command is, the panel of the help that lists it, and the summary of its help.
    `reads`: its first argument is a path that must be there; `workers`: it reads slides on workers.
    """

    panel: str
    module: str
    name: str
    summary: str
    reads: bool = False
    workers: bool = False


COMMANDS = {
    "run": Entry(
        "Run",
        "run",
        "run",
        "Find and classify every cell of slides, and stream labels and alerts.",
        reads=True,
        workers=True,
    ),
    "watch": Entry(
        "Run",
        "watch",
        "watch",
        "Run every slide that arrives in a folder, once it is whole.",
        reads=True,
        workers=True,
    ),
    "relay": Entry(
        "Run",
        "relay",
        "relay",
        "Send what waits in a store, and what the broker has lost of it since.",
    ),
    "replay": Entry(
        "Run", "relay", "replay", "Send the events of slides again, each with a new id."
    ),
    "tail": Entry("Run", "topics", "tail", "Follow the topics in the terminal, until Ctrl-C."),
    "demo": Entry(
        "Run",
        "demo",
        "demo",
        "Make a small smear from generated cells, and run it through everything.",
    ),
    "locate": Entry(
        "Slides",
        "slide",
        "locate",
        "Find the cells of a slide, without classifying them.",
        reads=True,
        workers=True,
    ),
    "map": Entry("Slides", "slide", "map_slide", "Draw where a smear can be read.", reads=True),
    "simulate": Entry(
        "Slides",
        "simulate",
        "simulate",
        "Make a smear of any size from generated cells, or from real ones.",
    ),
    "alerts": Entry(
        "Results", "alerts", "alerts", "List the alerts of a store that nobody has acknowledged."
    ),
    "failures": Entry(
        "Results",
        "topics",
        "failures",
        "List what could not be read, with the names of files: they stay on this machine.",
    ),
    "export-results": Entry(
        "Results",
        "export",
        "export_results",
        "Write results as files: cells, the count, reviewed cells.",
    ),
    "orders": Entry(
        "Results",
        "laboratory.orders",
        "orders_app",
        "The worklist of orders that slides are matched with.",
    ),
    "patient": Entry(
        "Results",
        "laboratory.keeping",
        "patient_app",
        "Hand out or remove all that a store has of one patient.",
    ),
    "similar": Entry(
        "Results", "export", "similar", "List the cells of all slides most like a given one."
    ),
    "audit": Entry("Results", "export", "audit", "Check the audit trail of a store."),
    "classify": Entry(
        "Model", "model.classify", "classify", "Classify a folder of cell images.", reads=True
    ),
    "teach": Entry("Model", "model.teach", "teach", "Teach a class from a few of its cells."),
    "models": Entry(
        "Model",
        "model.models",
        "models_app",
        "The models of a store: shipped and imported ones, and which new slides are read with.",
    ),
    "shadow": Entry(
        "Model",
        "model.shadow",
        "shadow",
        "Compare a second model with the one that counts, cell by cell.",
    ),
    "card": Entry(
        "Model",
        "model.classify",
        "card",
        "Show a model's card, after checking the files against it.",
        reads=True,
    ),
    "train": Entry(
        "Model", "model.training", "train", "Train a denoiser on image folders.", reads=True
    ),
    "export": Entry(
        "Model",
        "model.training",
        "export",
        "Export a training run: ONNX graph, draws, calibration, card.",
        reads=True,
    ),
    "sizes": Entry(
        "Model",
        "model.training",
        "sizes",
        "Measure how large the cells of each class are.",
        reads=True,
    ),
    "evaluate": Entry(
        "Model",
        "model.evaluate",
        "evaluate",
        "Measure a model on every axis, beside a discriminative baseline.",
    ),
    "explain": Entry(
        "Model",
        "model.explain",
        "explain",
        "Show why cells were called what they were called.",
        reads=True,
    ),
    "index": Entry("Model", "model.explain", "index", "Make an index of known cells.", reads=True),
    "calibrate": Entry(
        "Model",
        "model.calibrate",
        "calibrate",
        "Fit a model's probabilities of being normal to your laboratory.",
        reads=True,
    ),
    "authenticity": Entry(
        "Model",
        "model.authenticity",
        "authenticity",
        "Make a blinded test page, or score what an expert answered.",
    ),
    "pack-data": Entry(
        "Model", "model.training", "pack_data", "Put a recipe and its images into one file."
    ),
    "field-crops": Entry(
        "Model",
        "model.training",
        "field_crops",
        "Cut training crops out of fields whose cells carry boxes.",
    ),
    "generate": Entry(
        "Model",
        "model.classify",
        "generate",
        "Generate cells of a class with the classifier's own model.",
    ),
    "compile": Entry(
        "Model", "model.compile", "compile_engine", "Build engines ahead of time, on any machine."
    ),
    "serve": Entry(
        "Service",
        "serve",
        "serve",
        "Serve the review page: worklist, cells, slide, decisions, signature, report.",
    ),
    "accounts": Entry(
        "Service", "serve", "accounts_app", "Who may open the review page from another machine."
    ),
    "atlas": Entry(
        "Service",
        "laboratory.atlas",
        "atlas",
        "Take typical cells of each class from signed slides, as reference cells.",
    ),
    "lis": Entry(
        "Service",
        "laboratory.lis",
        "lis",
        "Take orders from the laboratory's system, and send it results: HL7 over MLLP.",
    ),
    "backup": Entry(
        "Service",
        "laboratory.keeping",
        "backup",
        "Keep a store as it is now, also while it is used.",
    ),
    "restore": Entry(
        "Service", "laboratory.keeping", "restore_store", "Make a store out of a backup."
    ),
    "retention": Entry(
        "Service",
        "laboratory.keeping",
        "retention",
        "Remove what the rules of the configuration say is to go.",
    ),
    "doctor": Entry(
        "Checks", "doctor", "doctor", "Check this machine: reader, model, engine, broker, disk."
    ),
    "config": Entry(
        "Checks",
        "topics",
        "config",
        "Check a configuration file, and show what it resolves to.",
        reads=True,
    ),
    "schemas": Entry("Checks", "topics", "schemas", "Write the JSON Schema of every event type."),
    "bench": Entry("Checks", "bench", "bench_app", "Measure speed and what it costs in decisions."),
}
