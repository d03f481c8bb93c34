"""The table of experiments: names, locations, tags, and experiments as entities.

Nothing is checked here; see `table`.
"""

from __future__ import annotations

from mlquery.entities import Experiment
from mlquery.store.columns import StringCells
from mlquery.store.table import STAGES, Table


class ExperimentTable(Table):
    """Experiments: strings experiment_id, name, lifecycle_stage, artifact_location; times creation, last update."""

    id_name = "experiment_id"
    order_name = "creation_time"

    def __init__(self) -> None:
        super().__init__()
        for name in ("experiment_id", "name", "artifact_location"):
            self.strings.to_write(name)
        self.strings.cells["lifecycle_stage"] = StringCells(self.owner, STAGES)
        for name in ("creation_time", "last_update_time"):
            self.times.to_write(name)
        self.row_of_name: dict[str, int] = {}

    def copy(self) -> ExperimentTable:
        """Return an independent table with the same rows."""
        new = ExperimentTable()
        new.share(self)
        new.row_of_name = self.row_of_name.copy()
        return new

    def add(self, experiment: Experiment) -> int:
        """Add an experiment and return its row."""
        strings = {name: getattr(experiment, name) for name in ("name", "lifecycle_stage", "artifact_location")}
        times = {name: getattr(experiment, name) for name in ("creation_time", "last_update_time")}
        row = self._add_row(experiment.experiment_id, strings, times)
        self.row_of_name[experiment.name] = row
        self.put_tags(row, experiment.tags.items())
        self._place(row)
        return row

    def rename(self, row: int, name: str) -> None:
        """Set the name of a row."""
        self.row_of_name.pop(self.string("name", row) or "", None)
        self.row_of_name[name] = row
        self.put_string("name", row, name)

    def experiment_at(self, row: int) -> Experiment:
        """Return the experiment of a row, as it is now."""
        cells, times = self.strings.cells, self.times.cells
        return Experiment(
            self.ids[row],
            cells["name"].string(row),  # type: ignore[arg-type]
            cells["artifact_location"].string(row),  # type: ignore[arg-type]
            cells["lifecycle_stage"].string(row),  # type: ignore[arg-type]
            self.tags_at(row),
            times["creation_time"].time(row),
            times["last_update_time"].time(row),
        )

    def _id_rank(self, row: int) -> tuple[int, str]:
        # MLflow's database compares ids as numbers; ids of other services are strings.
        number = self.ids[row]
        return (int(number), "") if number.isdecimal() else (2**63, number)
