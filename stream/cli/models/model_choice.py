"""Which model the slides of a run are read with: the one that the command names, or the one that is
in use in the store, also where a person chooses another one meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from classify import Engine, Model, ModelError, ModelLibrary
from classify.teaching import TaughtJudge
from ingest import CytostreamError
from stream.alerts import SlideTests
from stream.events import Provenance
from stream.run import OpenJudge, RunContext


@dataclass(frozen=True, slots=True)
class ModelParts:
    """What of a run's context comes with its model."""

    model: Model
    engine: Engine
    stamp: Provenance
    taught: TaughtJudge
    tests: SlideTests
    open_judge: OpenJudge | None

    def within(self, lab: RunContext) -> RunContext:
        """A context with this model in place of its own."""
        return replace(
            lab,
            model=self.model,
            engine=self.engine,
            stamp=replace(self.stamp, set_id=lab.stamp.set_id),
            taught=self.taught,
            tests=self.tests,
            open_judge=self.open_judge,
        )


class RunModels:
    """The models of a run. `stated` is the one that the command names: it stays then."""

    def __init__(
        self,
        library: ModelLibrary,
        open_parts: Callable[[Path], ModelParts],
        on_fault: Callable[[CytostreamError], None],
        stated: Path | None = None,
    ):
        self._library = library
        self._open_parts = open_parts
        self._on_fault = on_fault
        self._stated = stated
        self._refused = ""

    @property
    def folder(self) -> Path:
        """The folder of the model that the next slide is read with.

        Raises:
            ModelError: there is none of this name.
        """
        if self._stated is not None:
            return self._library.find(self._stated)
        return self._library.folder_in_use("white")

    def renewed(self, lab: RunContext) -> RunContext:
        """The context for the next slide: with the model that is in use now. One that cannot be
        opened is said once, and the one before stays.
        """
        if self._stated is not None:
            return lab
        wanted = lab.model.model_id
        try:
            used = self._library.in_use().white
            wanted = used[-1].model_id if used else self._library.first("white").model_id
            if wanted == lab.model.model_id or wanted == self._refused:
                return lab
            return self._open_parts(self.folder).within(lab)
        except CytostreamError as error:
            self._refused = wanted
            self._on_fault(error)
            return lab

    def was_in_use(self, model_id: str) -> bool:
        """Whether the store's slides were read with a model before, by a person's choice."""
        if self._stated is not None or not model_id:
            return False
        return any(used.model_id == model_id for used in self._library.in_use().white)

    def with_model(self, lab: RunContext, model_id: str) -> RunContext:
        """The context with a model that was in use before.

        Raises:
            ModelError, EngineError: it is gone, or cannot be run.
        """
        folder = self._library.folder_of(model_id)
        if folder is None:
            raise ModelError(
                f"the model {model_id}, with which the slide was begun, is gone",
                "import it again, or run the slide anew with --again",
            )
        return self._open_parts(folder).within(lab)
