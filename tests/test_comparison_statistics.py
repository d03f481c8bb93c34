"""The numbers of a comparison are those of scipy and scikit-learn on the same data; of too few runs there are none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import mlquery
from mlquery.comparison import importance
from mlquery.comparison.statistics import LEVEL, RESAMPLES, SEED, holm
from tests.support.compared_runs import run_id, seeds_of, store_of

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: round(number, 6))
P_VALUES = st.lists(st.floats(0, 1), max_size=12)


def models(fewest: int, most: int) -> st.SearchStrategy[dict[str, list[float]]]:
    """Draw two to four models with as many seeds each."""
    seeds = st.integers(fewest, most)
    return seeds.flatmap(
        lambda size: st.dictionaries(
            st.sampled_from("abcd"), st.lists(NUMBERS, min_size=size, max_size=size), min_size=2, max_size=4
        )
    )


def row_of(frame: Any, **wanted: str) -> Any:
    found = frame
    for name, value in wanted.items():
        found = found[found[name] == value]
    (row,) = found.to_dict("records")
    return row


def corrected(p_values: list[float]) -> list[float]:
    """Return Holm's correction by its definition: the largest of what any p-value up to this one demands."""
    m, found = len(p_values), []
    for p in p_values:
        below = sorted(p_values)[: sum(other <= p for other in p_values)]
        found.append(min(1.0, max((m - place) * other for place, other in enumerate(below))))
    return found


@pytest.mark.slow
@settings(max_examples=40)
@given(models(1, 8))
def test_numbers_of_groups_are_those_of_numpy(values: dict[str, list[float]]) -> None:
    groups = mlquery.compare("", source=seeds_of(values), ignore=["seed"]).groups

    for model, seeds in values.items():
        row = row_of(groups, group=f"model={model}")
        assert (model, len(seeds), len(seeds)) == (row["params.model"], row["runs"], row["n"])
        expected = (np.mean(seeds), np.min(seeds), np.max(seeds))
        assert expected == (row["mean"], row["min"], row["max"])
        assert pytest.approx(np.std(seeds, ddof=1) if len(seeds) > 1 else math.nan, nan_ok=True) == row["std"]


@pytest.mark.slow
@settings(max_examples=20)
@given(models(1, 7))
def test_intervals_of_groups_are_those_of_scipy(values: dict[str, list[float]]) -> None:
    groups = mlquery.compare("", source=seeds_of(values), ignore=["seed"]).groups

    assert LEVEL == groups.attrs["level"]
    for model, seeds in values.items():
        row = row_of(groups, group=f"model={model}")
        if len(seeds) < 3 or len(set(seeds)) == 1:
            assert math.isnan(row["low"])
            assert math.isnan(row["high"])
            continue
        generator = np.random.default_rng(SEED)
        found = stats.bootstrap((seeds,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, rng=generator)
        interval = found.confidence_interval
        assert pytest.approx((interval.low, interval.high), nan_ok=True) == (row["low"], row["high"])


@pytest.mark.slow
@settings(max_examples=40)
@given(models(4, 8))
def test_tests_of_groups_with_the_same_seeds_are_paired_t_tests_of_scipy(values: dict[str, list[float]]) -> None:
    baseline = next(iter(values))
    compared = mlquery.compare("", source=seeds_of(values), ignore=["seed"], baseline=f"{baseline}-0")

    p_values = []
    for model, seeds in list(values.items())[1:]:
        row = row_of(compared.tests, group=f"model={model}")
        differences = np.subtract(seeds, values[baseline])
        assert pytest.approx(np.mean(seeds) - np.mean(values[baseline])) == row["difference"]
        if np.ptp(differences) <= 1e-14 * np.max(np.abs([*seeds, *values[baseline]])):
            assert math.isnan(row["p"])
            continue
        expected = stats.ttest_rel(seeds, values[baseline])
        low, high = expected.confidence_interval(LEVEL)
        found = (row["statistic"], row["df"], row["p"], row["low"], row["high"])
        assert pytest.approx((expected.statistic, expected.df, expected.pvalue, low, high), nan_ok=True) == found
        assert ("paired t-test", "g_z") == (row["test"], row["effect"])
        p_values.append(row["p"])
    shown = [p for p in compared.tests["p_holm"].tolist() if p == p]
    assert pytest.approx(corrected([p for p in p_values if p == p])) == shown


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(NUMBERS, min_size=4, max_size=7), st.lists(NUMBERS, min_size=4, max_size=9))
def test_tests_of_groups_without_pairs_are_welchs_t_tests_of_scipy(one: list[float], other: list[float]) -> None:
    compared = mlquery.compare("", source=seeds_of({"a": one, "b": other}), group_by=["model"], baseline="a-0")

    (row,) = compared.tests.to_dict("records")

    if np.ptp(one) == 0 and np.ptp(other) == 0:
        assert math.isnan(row["p"])
        return
    expected = stats.ttest_ind(other, one, equal_var=False)
    assert pytest.approx((expected.statistic, expected.df, expected.pvalue)) == (row["statistic"], row["df"], row["p"])
    assert ("Welch's t-test", "g", row["p"]) == (row["test"], row["effect"], row["p_holm"])


@given(P_VALUES)
def test_holms_correction_is_what_it_is_defined_to_be(p_values: list[float]) -> None:
    assert pytest.approx(corrected(p_values)) == holm(p_values)


@given(P_VALUES)
def test_corrected_p_values_keep_their_order_and_are_never_smaller(p_values: list[float]) -> None:
    found = holm(p_values)

    assert all(p <= q for p, q in zip(p_values, found, strict=True))
    assert sorted(found) == [q for _, q in sorted(zip(p_values, found, strict=True))]


def test_effect_sizes_are_hedges_g_of_the_textbook() -> None:
    a, b = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 4.0, 4.0, 6.0, 9.0]
    independent = mlquery.compare("", source=seeds_of({"a": a, "b": b}), group_by=["model"], baseline="a-0")
    paired = mlquery.compare("", source=seeds_of({"a": a, "b": b}), ignore=["seed"], baseline="a-0")

    # The differences are 1, 2, 1, 2, 4 with mean 2; the correction is 1 - 3 / (4 df - 1) to three digits.
    d, d_z = 2 / math.sqrt((2.5 + 7) / 2), 2 / math.sqrt(1.5)
    assert pytest.approx(d * (1 - 3 / 31), rel=2e-3) == independent.tests["effect_size"].item()
    assert pytest.approx(d_z * (1 - 3 / 15), rel=4e-3) == paired.tests["effect_size"].item()


# Five models with four seeds each: a seed moves all models alike, as a split of the data does.
PAPER = {
    "baseline": [0.700, 0.740, 0.660, 0.720],
    "much better": [0.802, 0.839, 0.764, 0.819],
    "better": [0.721, 0.759, 0.682, 0.742],
    "the same": [0.699, 0.742, 0.658, 0.720],
    "worse": [0.668, 0.711, 0.629, 0.691],
}


def test_five_models_with_four_seeds_are_ranked_as_a_statistician_would() -> None:
    compared = mlquery.compare("", source=seeds_of(PAPER), ignore=["seed"], baseline="baseline-0")

    tests = compared.tests.set_index("group")
    means = compared.groups.set_index("params.model")["mean"].sort_values(ascending=False)
    significant = tests[tests["p_holm"] < 0.05]

    assert ["much better", "better", "baseline", "the same", "worse"] == means.index.tolist()
    assert {"model=much better": 1, "model=better": 1, "model=worse": -1} == {
        group: np.sign(row["difference"]) for group, row in significant.iterrows()
    }
    # What a test of independent samples cannot tell from the noise of the seeds.
    unpaired = mlquery.compare("", source=seeds_of(PAPER), group_by=["model"], baseline="baseline-0").tests
    assert math.isclose(tests.loc["model=better", "difference"], row_of(unpaired, group="model=better")["difference"])
    assert row_of(unpaired, group="model=better")["p"] > 0.2
    assert () == compared.warnings


def test_three_runs_give_a_warning_and_no_p_value() -> None:
    compared = mlquery.compare("", source=seeds_of({"a": [0.1], "b": [0.2], "c": [0.3]}), baseline="a-0")

    assert compared.tests["p"].isna().all()
    assert compared.tests["test"].isna().all()
    assert pytest.approx([0.1, 0.2]) == compared.tests["difference"].tolist()
    (warning,) = compared.warnings
    assert warning == (
        "no p-value for 2 of 2 tests: a test needs at least 4 runs with a value in the group and in the baseline's"
    )


def test_groups_of_three_have_an_interval_but_no_p_value() -> None:
    compared = mlquery.compare("", source=seeds_of({"a": [1, 2, 3], "b": [2, 3, 5]}), ignore=["seed"], baseline="a-0")

    assert compared.groups["low"].notna().all()
    assert compared.tests["p"].isna().all()


def test_equal_values_give_a_warning_and_no_p_value() -> None:
    compared = mlquery.compare("", source=seeds_of({"a": [1] * 5, "b": [2] * 5}), ignore=["seed"], baseline="a-0")

    assert compared.tests["p"].isna().all()
    assert compared.groups["low"].isna().all()
    assert any("all equal" in warning for warning in compared.warnings)


def test_differences_that_are_equal_but_for_rounding_are_equal() -> None:
    values = [0.1, 0.7, 0.35, 0.62, 0.41]
    shifted = [value + 0.1 for value in values]
    compared = mlquery.compare("", source=seeds_of({"a": values, "b": shifted}), ignore=["seed"], baseline="a-0")

    assert len({b - a for a, b in zip(values, shifted, strict=True)}) > 1
    assert compared.tests["p"].isna().all()
    assert any("all equal" in warning for warning in compared.warnings)


def test_runs_are_paired_by_the_param_to_ignore_and_not_by_their_order() -> None:
    values = {("a", "1"): 0.1, ("a", "2"): 0.3, ("a", "3"): 0.2, ("a", "4"): 0.5}
    values |= {("b", "4"): 0.7, ("b", "2"): 0.6, ("b", "1"): 0.4, ("b", "3"): 0.3}
    store = store_of({"params": {"model": m, "seed": s}, "metrics": {"acc": v}} for (m, s), v in values.items())

    (row,) = mlquery.compare("", source=store, ignore=["seed"], baseline=run_id(0)).tests.to_dict("records")

    expected = stats.ttest_rel([0.4, 0.6, 0.3, 0.7], [0.1, 0.3, 0.2, 0.5])
    assert pytest.approx(expected.pvalue) == row["p"]


@pytest.mark.parametrize(
    "seeds", [["0", "1", "2", "3", "9"], ["0", "1", "2", "3", "3"], ["0", "1", "2", "3", None]], ids=str
)
def test_runs_without_exactly_one_partner_each_are_not_paired(seeds: list[str | None]) -> None:
    runs = [{"params": {"model": "a", "seed": str(n)}, "metrics": {"acc": n / 7}} for n in range(5)]
    runs += [
        {"params": {"model": "b"} | ({} if s is None else {"seed": s}), "metrics": {"acc": n / 5 + 0.1 * n * n}}
        for n, s in enumerate(seeds)
    ]
    (row,) = mlquery.compare("", source=store_of(runs), ignore=["seed"], baseline=run_id(0)).tests.to_dict("records")

    assert ("Welch's t-test", 5, 5) == (row["test"], row["n"], row["n_baseline"])


def test_a_metric_that_is_nan_is_left_out_and_said_to_be() -> None:
    store = seeds_of({"a": [1, 2, 3, 4, 5], "b": [2, 4, math.nan, 3, 9]})
    compared = mlquery.compare("", source=store, ignore=["seed"], baseline="a-0")

    row = row_of(compared.groups, group="model=b")
    (test,) = compared.tests.to_dict("records")

    assert (5, 4, 4.5) == (row["runs"], row["n"], row["mean"])
    assert ("Welch's t-test", 4) == (test["test"], test["n"])
    assert compared.warnings == ("the metric 'accuracy' is NaN in 1 of 10 runs, which its numbers leave out",)


def test_numbers_at_the_limit_of_doubles_do_not_stop_a_comparison() -> None:
    store = seeds_of({"a": [1e308, 1.7e308, 1.7e308, 1.5e308], "b": [1e-320, 0.0, -0.0, 1.7e308]})
    compared = mlquery.compare("", source=store, ignore=["seed"], baseline="a-0")

    assert 2 == len(compared.groups)
    assert 1 == len(compared.tests)


def test_there_are_no_tests_without_a_baseline() -> None:
    compared = mlquery.compare("", source=seeds_of({"a": [1, 2, 3, 4], "b": [2, 3, 4, 6]}), ignore=["seed"])

    assert 0 == len(compared.tests)
    assert "p_holm" in compared.tests.columns


# --- importance ------------------------------------------------------------------------------------------------------


def sweep(runs: int, seed: int = 0) -> mlquery.Store:
    """Return runs whose score follows the learning rate, a bit the optimizer, and not the seed."""
    rng = np.random.default_rng(seed)
    shift = {"adam": 0.0, "lion": 0.2, "sgd": 0.4}
    found = []
    for number in range(runs):
        rate, optimizer = float(rng.random()), str(rng.choice(sorted(shift)))
        params = {"lr": repr(rate), "optimizer": optimizer, "seed": str(number), "epochs": "10"}
        found.append({"params": params, "metrics": {"score": 2 * rate + shift[optimizer] + 0.01 * rng.normal()}})
    return store_of(found)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [20, 57])
def test_importance_is_that_of_scikit_learn_and_spearman_that_of_scipy(runs: int) -> None:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    compared = mlquery.compare("", source=sweep(runs))
    table, frame = compared.importance("score").set_index("param"), compared.to_frame()
    numbers = np.column_stack(
        [
            frame["params.lr"].astype(float),
            frame["params.optimizer"].map({"adam": 0, "lion": 1, "sgd": 2}),
            frame["params.seed"].astype(float),
        ]
    )
    score, parts = frame["metrics.score"].to_numpy(), []
    for fitted, rest in KFold(importance.FOLDS, shuffle=True, random_state=0).split(numbers):
        forest = RandomForestRegressor(importance.TREES, random_state=0).fit(numbers[fitted], score[fitted])
        options: dict[str, Any] = {"n_repeats": importance.REPEATS, "random_state": 0}
        result = permutation_importance(forest, numbers[rest], score[rest], scoring="neg_mean_squared_error", **options)
        parts.append(result.importances / np.var(score))
    expected = np.concatenate(parts, axis=1).mean(axis=1)

    assert pytest.approx(expected) == table.loc[["lr", "optimizer", "seed"], "importance"].tolist()
    for column, param in enumerate(["lr", "optimizer", "seed"]):
        spearman = stats.spearmanr(numbers[:, column], score)
        shown = [table["spearman"][param], table["p"][param]]
        no_order = [math.nan, math.nan]
        wanted = no_order if param == "optimizer" else [spearman.statistic, spearman.pvalue]
        assert pytest.approx(wanted, nan_ok=True) == shown
    assert ["lr", "optimizer", "seed"] == table.index.tolist()
    assert runs == compared.importance("score").attrs["n"]


@pytest.mark.slow
def test_importance_is_the_same_each_time() -> None:
    store = sweep(15)

    one, other = (mlquery.compare("", source=store).importance("score") for _ in range(2))

    assert one.equals(other)


def test_importance_of_too_few_runs_is_a_warning_and_no_number() -> None:
    frame = mlquery.compare("", source=sweep(9)).importance("score")

    assert frame.attrs["warning"] == "no importances of 'score' from 9 runs: at least 10 with a number are needed"
    assert {"lr", "optimizer", "seed"} == set(frame["param"])
    assert not frame[["importance", "std", "spearman", "p"]].notna().to_numpy().any()


def test_importance_without_anything_that_differs_is_a_warning() -> None:
    same = store_of({"params": {"lr": "1"}, "metrics": {"score": n}} for n in range(12))
    flat = store_of({"params": {"lr": str(n)}, "metrics": {"score": 1}} for n in range(12))

    assert mlquery.compare("", source=same).importance("score").attrs["warning"].endswith("no param differs")
    assert mlquery.compare("", source=flat).importance("score").attrs["warning"].endswith("all have the same value")


@pytest.mark.slow
def test_importance_of_params_that_predict_nothing_is_a_warning() -> None:
    rng = np.random.default_rng(3)
    noise = store_of({"params": {"lr": str(rng.random())}, "metrics": {"score": rng.random()}} for _ in range(30))

    warning = mlquery.compare("", source=noise).importance("score").attrs["warning"]

    assert "do not predict runs that were held out" in warning


@pytest.mark.slow
def test_params_that_only_some_runs_have_and_words_and_huge_numbers_are_used() -> None:
    store = store_of(
        {
            "params": {"huge": f"1e{n * 20}"} | ({"some": str(n % 3)} if n % 2 else {}) | {"word": "ab"[n % 2]},
            "metrics": {"score": n},
        }
        for n in range(16)
    )

    frame = mlquery.compare("", source=store).importance("score").set_index("param")

    assert {"huge": 16, "some": 8, "word": 16} == frame["n"].to_dict()
    assert frame["importance"].notna().all()
    assert frame["spearman"].isna()["some"]  # of eight runs only


def test_statistics_without_scipy_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] in ("scipy", "sklearn")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    compared = mlquery.compare("", source=seeds_of({"a": [1, 2, 3, 4], "b": [2, 3, 4, 6]}), ignore=["seed"])

    with pytest.raises(mlquery.StoreError, match=r"this needs scipy: pip install 'mlquery\[compare\]'"):
        _ = compared.groups
    assert not compared.table.empty
    assert not compared.best("accuracy").empty
