from __future__ import annotations

import inspect
import pickle
from typing import Any

import mlflow.entities as theirs
import pytest
from mlflow.store.entities.paged_list import PagedList as TheirPagedList

import mlquery.entities as ours
from mlquery.errors import INVALID_PARAMETER_VALUE, StoreError
from mlquery.store import fast_entities

ENTITIES = (
    *("Dataset", "DatasetInput", "Experiment", "ExperimentTag", "FileInfo", "InputTag", "Metric", "Param"),
    *("Run", "RunData", "RunInfo", "RunInputs", "RunOutputs", "RunTag"),
)


def a_run(kit: Any) -> Any:
    """Return the same run built from either package."""
    info = kit.RunInfo("r1", "7", "ann", "RUNNING", 5, None, "active", artifact_uri="x/y", run_name="calm-heron-1")
    data = kit.RunData(
        metrics=[kit.Metric("m", 1.5, 10, 2), kit.Metric("n", float("nan"), 10, 2)],
        params=[kit.Param("p", "a long text with a\nline break")],
        tags=[kit.RunTag("t", "v")],
    )
    dataset = kit.Dataset("d", "abc", "local", "file.csv", schema="s")
    inputs = kit.RunInputs([kit.DatasetInput(dataset, [kit.InputTag("k", "v")])])
    return kit.Run(info, data, inputs, kit.RunOutputs([]))


def an_experiment(kit: Any) -> Any:
    return kit.Experiment("1", "first", "root/1", "active", [kit.ExperimentTag("a", "b")], 1, 2)


@pytest.mark.parametrize("name", ENTITIES)
def test_constructors_take_the_arguments_of_mlflow(name: str) -> None:
    expected = list(inspect.signature(getattr(theirs, name)).parameters)

    assert expected == list(inspect.signature(getattr(ours, name)).parameters)


@pytest.mark.parametrize("name", ENTITIES)
def test_entities_have_the_attributes_of_mlflow(name: str) -> None:
    expected = getattr(theirs, name)._properties()

    assert expected == getattr(ours, name)._properties()


@pytest.mark.parametrize("make", [a_run, an_experiment])
def test_entities_print_and_iterate_as_those_of_mlflow(make: Any) -> None:
    expected, entity = make(theirs), make(ours)

    assert repr(expected) == repr(entity)
    assert [name for name, _ in expected] == [name for name, _ in entity]


def test_a_run_becomes_the_dictionary_that_mlflow_makes() -> None:
    expected = a_run(theirs).to_dictionary()

    assert repr(expected) == repr(a_run(ours).to_dictionary())


def test_a_run_without_inputs_and_outputs_leaves_them_out_of_its_dictionary() -> None:
    expected = theirs.Run(a_run(theirs).info, theirs.RunData()).to_dictionary()

    assert expected == ours.Run(a_run(ours).info, ours.RunData()).to_dictionary()


def test_a_metric_becomes_the_dictionary_that_mlflow_makes_and_back() -> None:
    metric = ours.Metric("m", 1.5, 10, 2)

    assert theirs.Metric("m", 1.5, 10, 2).to_dictionary() == metric.to_dictionary()
    assert metric == ours.Metric.from_dictionary(metric.to_dictionary())


def test_a_metric_dictionary_without_its_keys_is_refused_in_the_words_of_mlflow() -> None:
    with pytest.raises(Exception, match="Missing") as expected:
        theirs.Metric.from_dictionary({"key": "m"})

    with pytest.raises(StoreError, match="Missing") as error:
        ours.Metric.from_dictionary({"key": "m"})

    assert expected.value.message == error.value.message  # type: ignore[attr-defined]
    assert INVALID_PARAMETER_VALUE == error.value.error_code


@pytest.mark.parametrize("half", [{"dataset_name": "d"}, {"dataset_digest": "d"}])
def test_a_metric_with_half_a_dataset_is_refused(half: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="Both dataset_name and dataset_digest") as error:
        ours.Metric("m", 1.0, 0, 0, **half)

    assert INVALID_PARAMETER_VALUE == error.value.error_code


@pytest.mark.parametrize("name", ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"])
def test_run_statuses_have_the_numbers_of_mlflow(name: str) -> None:
    number = theirs.RunStatus.from_string(name)

    assert number == ours.RunStatus.from_string(name) == getattr(ours.RunStatus, name)
    assert name == ours.RunStatus.to_string(number)
    assert theirs.RunStatus.is_terminated(number) == ours.RunStatus.is_terminated(number)
    assert theirs.RunStatus.all_status() == ours.RunStatus.all_status()


@pytest.mark.parametrize("call", ["from_string", "to_string"])
@pytest.mark.parametrize("kind", ["RunStatus", "ViewType"])
def test_unknown_names_and_numbers_are_refused_in_the_words_of_mlflow(kind: str, call: str) -> None:
    with pytest.raises(Exception, match="Could not get") as expected:
        getattr(getattr(theirs, kind), call)("bogus")

    with pytest.raises(ValueError, match="Could not get") as error:
        getattr(getattr(ours, kind), call)("bogus")

    assert str(expected.value) == str(error.value)


@pytest.mark.parametrize("name", ["ACTIVE_ONLY", "DELETED_ONLY", "ALL"])
def test_view_types_have_the_numbers_and_stages_of_mlflow(name: str) -> None:
    number = getattr(theirs.ViewType, name)

    assert number == getattr(ours.ViewType, name) == ours.ViewType.from_string(name.lower())
    assert name.lower() == ours.ViewType.to_string(number)
    stages = theirs.LifecycleStage.view_type_to_stages(number)
    assert stages == ours.LifecycleStage.view_type_to_stages(number)
    for stage in ("active", "deleted"):
        assert (stage in stages) == ours.LifecycleStage.matches_view_type(number, stage)


def test_only_two_lifecycle_stages_are_valid() -> None:
    assert [True, True, False] == [ours.LifecycleStage.is_valid(stage) for stage in ("active", "deleted", "gone")]


def test_a_paged_list_is_a_list_with_a_token() -> None:
    expected: Any = TheirPagedList([1, 2], "next")

    page = ours.PagedList([1, 2], "next")

    assert expected == page
    assert (expected.token, expected.to_list()) == (page.token, page.to_list())


def test_entities_compare_by_value_and_runs_fit_into_sets() -> None:
    assert an_experiment(ours) == an_experiment(ours)
    assert 1 == len({ours.Run(a_run(ours).info, ours.RunData()), ours.Run(a_run(ours).info, ours.RunData())})


def test_entities_can_be_pickled() -> None:
    assert an_experiment(ours) == pickle.loads(pickle.dumps(an_experiment(ours)))


def test_entities_are_frozen() -> None:
    info = a_run(ours).info

    with pytest.raises(AttributeError):
        info.status = "FINISHED"


def test_entities_made_in_bulk_are_those_that_the_constructors_make() -> None:
    fields = ("r1", "7", "ann", "RUNNING", 5, None, "active", "x/y", "calm-heron-1")
    data = ({"m": 1.5}, {"p": "a"}, {"t": "v"})
    run = ours.Run(ours.RunInfo(*fields), ours.RunData(*data), ours.EMPTY, ours.EMPTY)

    made = fast_entities.make_run(
        fast_entities.make_info(*fields), fast_entities.make_data(*data), ours.EMPTY, ours.EMPTY
    )
    point = fast_entities.make_point("m", 1.5, 10, 2)

    assert (run, repr(run)) == (made, repr(made))
    assert ours.Metric("m", 1.5, 10, 2) == point
    assert [ours.Run, ours.RunInfo, ours.RunData, ours.Metric] == [type(e) for e in (made, made.info, made.data, point)]
    for entity, name in ((made, "info"), (made.info, "status"), (made.data, "tags"), (point, "value")):
        with pytest.raises(AttributeError):
            setattr(entity, name, None)
