"""Which model new slides of a store are read with: chosen by a person, and an entry of the audit
trail.
"""

from datetime import UTC, datetime

from classify import MODELS_FOLDER, ModelLibrary, UsedModel, kind_of, load_model
from ingest import StoreError
from stream.alerts import check_rules
from stream.events import Provenance
from stream.review.slides import SlideLibrary
from stream.store import COPY_HINT


class ChosenModel:
    """Chooses the model of new slides; those that are read keep theirs."""

    def __init__(self, library: SlideLibrary, stamp: Provenance):
        self._trail = library.trail
        self._stamp = stamp
        self._alerts = library.config.alerts
        self._taught = library.taught
        self.models = ModelLibrary(library.store / MODELS_FOLDER)

    def use(self, name: str, by: str, address: str = "") -> UsedModel:
        """Reads new slides with an imported or a shipped model from here on.

        Raises:
            ModelError: there is none of this name, or taught classes that are in use rest on the
                features of another model.
            ConfigError: an alert rule names a class that it has not.
            StoreError: the choice cannot be written into the audit trail; then it is not made.
        """
        if not self._trail.is_kept:
            raise StoreError(f"{self._trail.path}: cannot be written", COPY_HINT)
        self._check(name)
        before = self.models.in_use()
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        used = self.models.use(name, by, at)
        try:
            said = f"{used.name} {used.model_id}"
            self._trail.note("model_used", "", by, self._stamp, address=address, model=said)
        except BaseException:
            self.models.put_back(before)
            raise
        return used

    def back(self, kind: str, by: str, address: str = "") -> UsedModel:
        """Reads new slides with the model again that was in use before; raises as `use` does."""
        return self.use(self.models.before(kind).name, by, address)

    def _check(self, name: str) -> None:
        """Raises where a run would refuse the model."""
        model = load_model(self.models.find(name))
        if kind_of(model.card) == "white":
            own = [one.name for one in self._taught.in_use(model)]
            check_rules(self._alerts, (*model.card.classes, *own))
