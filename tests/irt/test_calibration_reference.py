"""Calibrations against R's mirt and TAM and against separate code, case by case.

Tolerances are those of the cases' manifest.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from assess.irt.calibration import Beta, Calibration, CalibrationOptions, Normal, Prior, calibrate
from assess.irt.models import ItemParameters
from tests.shared import SHARED, needs_shared, shared

pytestmark = needs_shared

MODELS = {
    "2PL": "2PL",
    "3PL": "3PL",
    "Rasch": "Rasch",
    "graded": "GRM",
    "gpcm": "GPCM",
    "nominal": "NRM",
}
WIDE = CalibrationOptions(n_nodes=97, theta_range=(-8.0, 8.0))


def manifest() -> dict[str, dict[str, Any]]:
    if SHARED is None:
        return {}
    cases = json.loads(shared("reference", "manifest.json").read_text())["cases"]
    return {case["id"]: case for case in cases}


CASES = manifest()
CALIBRATIONS = sorted(name for name in CASES if name.startswith("calib_"))


def results(name: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(shared("reference", "cases", f"{name}.json").read_text())["results"]
    return answer


def data(file: str) -> pd.DataFrame:
    return pd.read_csv(shared("reference", file))


def run(name: str) -> Calibration:
    case = CASES[name]
    frame = data(case["data_files"][0])
    weights = frame.pop("Frequency") if "Frequency" in frame else None
    model = MODELS.get(case["model"], case["model"])
    if model == "Rasch" and frame.max().max() > 1:
        model = "PCM"
    priors: dict[str, Prior] | None = None
    if name.endswith("betaprior"):
        priors = {"c": Beta(5.0, 17.0)}
    elif name.endswith("normprior"):
        priors = {"logit_c": Normal(-1.4, 0.5)}
    return calibrate(
        frame, model, priors=priors, weights=weights, options=CalibrationOptions(allow_wide=True)
    )


def table(items: dict[str, Any], what: str) -> pd.DataFrame:
    return pd.DataFrame({item: values[what] for item, values in items.items()}).T.astype(float)


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_a_calibration_equals_its_reference(name: str) -> None:
    tolerance, expected = CASES[name]["tolerance"], results(name)
    calibration = run(name)
    assert calibration.converged
    assert calibration.log_likelihood == pytest.approx(expected["logLik"], abs=tolerance["logLik"])
    assert calibration.log_prior == pytest.approx(expected.get("logPrior", 0.0), abs=0.01)
    assert calibration.n_parameters == expected["n_params"]
    frame = calibration.to_frame()
    if "items_irt" in expected:
        estimates = table(expected["items_irt"], "est")
        errors = table(expected["items_irt"], "se")
        renamed = {"g": "c", "u": "d"}
        for column in map(str, estimates.columns):
            own = renamed.get(column, column)
            if own not in frame:
                assert column == "u"
                continue
            np.testing.assert_allclose(frame[own], estimates[column], atol=tolerance["params_abs"], rtol=2e-4)
            given = errors[column].notna()
            if own in ("c", "d") or (calibration.model == "GPCM" and own == "b1"):
                # mirt gives c and d no error here, and its delta method for the first
                # GPCM step disagrees with its own covariance matrix (next test)
                continue
            np.testing.assert_allclose(
                frame[f"se_{own}"][given.to_numpy()], errors[column][given], rtol=tolerance["se_rel"]
            )
        variance, se_variance = expected["group"]["est"]["COV_11"], expected["group"]["se"]["COV_11"]
        population = calibration.population
        assert population.variance == pytest.approx(variance, abs=tolerance["params_abs"])
        if se_variance is not None:
            own_se = 2.0 * population.sd * population.se_sds[0]
            assert own_se == pytest.approx(se_variance, rel=tolerance["se_rel"])
    else:
        for own, theirs in (("a", "a"), ("b", "b"), ("c", "g")):
            np.testing.assert_allclose(frame[own], expected["items"][theirs], atol=tolerance["params_abs"])
        for own in ("a", "g"):
            np.testing.assert_allclose(
                frame[f"se_{'c' if own == 'g' else own}"], expected["se"][own], rtol=tolerance["se_rel"]
            )


def test_the_covariance_of_a_rasch_calibration_equals_mirts() -> None:
    expected = results("calib_lsat6_rasch")["vcov"]
    matrix = np.array(expected["matrix"])
    calibration = run("calib_lsat6_rasch")
    own = calibration.vcov.to_numpy()
    # b = -d, and the variance is the square of the standard deviation
    turn = np.diag([*[-1.0] * 5, 2.0 * calibration.population.sd])
    np.testing.assert_allclose(turn @ own @ turn, matrix, rtol=1e-3)


def test_errors_of_gpcm_steps_follow_from_mirts_covariance_of_slopes_and_intercepts() -> None:
    expected = results("calib_science_gpcm")
    covariance = np.array(expected["vcov"]["matrix"])
    frame = run("calib_science_gpcm").to_frame()
    for j, (item, values) in enumerate(expected["items_slope_intercept"].items()):
        a, *d = (values["est"][name] for name in ("a1", "d0", "d1", "d2", "d3"))
        b = -np.diff(d) / a
        jacobian = np.zeros((3, 4))
        jacobian[:, 0] = -b / a
        jacobian[:, 1:] = -(np.eye(3) - np.eye(3, k=-1)) / a
        block = covariance[4 * j : 4 * j + 4, 4 * j : 4 * j + 4]
        errors = np.sqrt(np.diag(jacobian @ block @ jacobian.T))
        np.testing.assert_allclose(
            frame.loc[item, ["se_b1", "se_b2", "se_b3"]].astype(float), errors, rtol=1e-3
        )


@pytest.mark.parametrize("file", ["lsat6.csv", "verbagg_dich.csv", "verbagg_poly.csv", "science.csv"])
def test_tam_finds_the_same_maximum(file: str) -> None:
    expected = results("crosscheck_tam_public")[file]
    frame = data(f"data/{file}")
    polytomous = frame.max().max() > 1
    one = calibrate(frame, "PCM" if polytomous else "Rasch")
    two = calibrate(frame, "GPCM" if polytomous else "2PL")
    assert one.log_likelihood == pytest.approx(expected["rasch_pcm"]["logLik"], abs=0.01)
    assert one.population.variance == pytest.approx(expected["rasch_pcm"]["variance"], abs=0.002)
    assert two.log_likelihood == pytest.approx(expected["two_pl_gpcm"]["logLik"], abs=0.01)
    np.testing.assert_allclose(two.parameters.slopes, expected["two_pl_gpcm"]["slope"], atol=0.005)


@pytest.mark.parametrize(
    ("name", "model"),
    [("recovery_2pl_public", "2PL"), ("recovery_3pl_public", "3PL"), ("recovery_grm_public", "GRM")],
)
def test_a_recovery_case_equals_mirt_and_recovers_the_truth(name: str, model: str) -> None:
    expected, tolerance = results(name), CASES[name]["tolerance"]
    priors = {"logit_c": Normal(-1.4, 0.5)} if model == "3PL" else None
    calibration = calibrate(data(CASES[name]["data_files"][0]), model, priors=priors)
    assert calibration.converged
    assert calibration.log_likelihood == pytest.approx(expected["logLik"], abs=tolerance["logLik"])
    frame, mirt = calibration.to_frame(), expected["est"]
    within = tolerance["params_vs_mirt_abs"]
    np.testing.assert_allclose(frame["a"], mirt["a"], atol=within)
    np.testing.assert_allclose(frame["se_a"], mirt["se_a"], rtol=0.02)
    if model != "GRM":
        np.testing.assert_allclose(-frame["a"] * frame["b"], mirt["d"], atol=within)
        rmse = float(np.sqrt(np.mean((frame["b"] - np.array(expected["truth"]["b"])) ** 2)))
        assert rmse == pytest.approx(expected["recovery"]["b"]["rmse"], rel=tolerance["recovery_rmse_rel"])
    if model == "3PL":
        np.testing.assert_allclose(frame["c"], mirt["g"], atol=within)


def test_items_of_three_models_are_calibrated_together() -> None:
    name = "recovery_mixed_public"
    expected = results(name)
    frame = data(CASES[name]["data_files"][0])
    kinds = ["2PL"] * 15 + ["3PL"] * 5 + ["GPCM"] * 10
    model = dict(zip(frame.columns, kinds, strict=True))
    calibration = calibrate(frame, model, priors={"logit_c": Normal(-1.4, 0.5)})
    assert calibration.log_likelihood == pytest.approx(expected["logLik"], abs=0.01)
    assert calibration.model == "2PL+3PL+GPCM"
    within = CASES[name]["tolerance"]["params_vs_mirt_abs"]
    own = calibration.to_frame().loc[list(expected["items"])]
    mirt, errors = table(expected["items"], "est"), table(expected["items"], "se")
    np.testing.assert_allclose(own["a"], mirt["a1"], atol=within)
    np.testing.assert_allclose(own["se_a"], errors["a1"], rtol=0.02)
    two = [kind != "GPCM" for kind in kinds]
    np.testing.assert_allclose(-own["a"][two] * own["b"][two], mirt["d"][two], atol=within)


def test_fixed_items_carry_the_scale_to_a_new_form() -> None:
    expected, tolerance = results("fipc_2pl_public"), CASES["fipc_2pl_public"]["tolerance"]
    fixed = expected["fixed"]
    anchors = ItemParameters(fixed["name"], "2PL", fixed["a"], np.array(fixed["b"])[:, None])
    calibration = calibrate(data("data/link_2PL_Y_public.csv.gz"), "2PL", anchors=anchors, options=WIDE)
    assert calibration.log_likelihood == pytest.approx(expected["logLik"], abs=tolerance["logLik"])
    assert calibration.n_parameters == expected["n_params"]
    frame = calibration.to_frame()
    estimates = table(expected["items_irt"], "est")
    errors = table(expected["items_irt"], "se")
    for name in ("a", "b"):
        np.testing.assert_allclose(frame[name], estimates[name], atol=tolerance["params_abs"], rtol=1e-3)
        free = ~frame.index.isin(fixed["name"])
        np.testing.assert_allclose(frame[f"se_{name}"][free], errors[name][free], rtol=tolerance["se_rel"])
        assert frame[f"se_{name}"][~free].isna().all()
    population, group = calibration.population, expected["group"]
    assert population.mean == pytest.approx(group["est"]["MEAN_1"], abs=tolerance["mean_var_abs"])
    assert population.variance == pytest.approx(group["est"]["COV_11"], abs=tolerance["mean_var_abs"])
    assert population.se_means[0] == pytest.approx(group["se"]["MEAN_1"], rel=tolerance["se_rel"])
    own = 2.0 * population.sd * population.se_sds[0]
    assert own == pytest.approx(group["se"]["COV_11"], rel=tolerance["se_rel"])


def test_two_forms_with_common_items_are_calibrated_concurrently() -> None:
    expected, tolerance = results("concurrent_2pl_public"), CASES["concurrent_2pl_public"]["tolerance"]
    x, y = data("data/link_2PL_X_public.csv.gz"), data("data/link_2PL_Y_public.csv.gz")
    both = pd.concat([x, y], ignore_index=True)
    options = CalibrationOptions(n_nodes=97, theta_range=(-8.0, 8.0), reference_group="X")
    calibration = calibrate(both, "2PL", groups=["X"] * len(x) + ["Y"] * len(y), options=options)
    assert calibration.log_likelihood == pytest.approx(expected["logLik"], abs=tolerance["logLik"])
    items = expected["items"]
    frame = calibration.to_frame().loc[items["name"]]
    np.testing.assert_allclose(frame["a"], items["a"], atol=tolerance["params_abs"])
    np.testing.assert_allclose(-frame["a"] * frame["b"], items["d"], atol=tolerance["params_abs"])
    np.testing.assert_allclose(frame["se_a"], items["se_a"], rtol=0.02)
    mean, sd = calibration.population.of("Y")
    assert mean == pytest.approx(expected["group_Y"]["mean"], abs=tolerance["params_abs"])
    assert sd**2 == pytest.approx(expected["group_Y"]["var"], abs=tolerance["params_abs"])
    assert calibration.population.se_means[1] == pytest.approx(expected["group_Y"]["se_mean"], rel=0.02)


def grouped() -> tuple[pd.DataFrame, pd.Series]:
    frame = data("data/dif_2pl_public.csv.gz")
    return frame.drop(columns="group"), frame["group"]


def assert_focal_errors(calibration: Calibration, focal: dict[str, float], within: float) -> None:
    """Standard errors of the focal group's mean and variance; mirt's variance is the square of our sd."""
    population = calibration.population
    sd, place = population.of("foc")[1], population.groups.index("foc")
    assert population.se_means[place] == pytest.approx(focal["se_mean"], rel=within)
    assert 2.0 * sd * population.se_sds[place] == pytest.approx(focal["se_var"], rel=within)


def test_groups_with_equal_items_have_their_own_mean_and_variance() -> None:
    expected, tolerance = (
        results("multigroup_2pl_public")["scalar"],
        CASES["multigroup_2pl_public"]["tolerance"],
    )
    frame, group = grouped()
    options = CalibrationOptions(n_nodes=97, theta_range=(-8.0, 8.0), reference_group="ref")
    calibration = calibrate(frame, "2PL", groups=group, options=options)
    assert calibration.log_likelihood == pytest.approx(expected["logLik"], abs=tolerance["logLik"])
    assert calibration.n_parameters == expected["n_params"]
    assert calibration.aic == pytest.approx(expected["AIC"], abs=0.01)
    assert calibration.bic == pytest.approx(expected["BIC"], abs=0.01)
    focal = expected["groups"]["foc"]
    np.testing.assert_allclose(calibration.to_frame()["a"], focal["a1"], atol=tolerance["params_abs"])
    np.testing.assert_allclose(calibration.to_frame()["se_a"], focal["se_a1"], rtol=tolerance["se_rel"])
    mean, sd = calibration.population.of("foc")
    assert mean == pytest.approx(focal["mean"], abs=tolerance["mean_var_abs"])
    assert sd**2 == pytest.approx(focal["var"], abs=tolerance["mean_var_abs"])
    assert_focal_errors(calibration, focal, tolerance["se_rel"])


def test_groups_that_share_nothing_are_calibrated_one_by_one() -> None:
    expected, tolerance = (
        results("multigroup_2pl_public")["configural"],
        CASES["multigroup_2pl_public"]["tolerance"],
    )
    frame, group = grouped()
    one_by_one = {name: calibrate(frame[group == name], "2PL", options=WIDE) for name in expected["groups"]}
    total = sum(one.log_likelihood for one in one_by_one.values())
    assert total == pytest.approx(expected["logLik"], abs=tolerance["logLik"])
    assert sum(one.n_parameters for one in one_by_one.values()) == expected["n_params"]
    for name, mirt in expected["groups"].items():
        own = one_by_one[name].to_frame()
        np.testing.assert_allclose(own["a"], mirt["a1"], atol=tolerance["params_abs"])
        np.testing.assert_allclose(-own["a"] * own["b"], mirt["d"], atol=tolerance["params_abs"])


def test_items_may_differ_between_groups_by_giving_them_two_names() -> None:
    answers = results("multigroup_2pl_public")
    expected, tolerance = answers["anchored"], CASES["multigroup_2pl_public"]["tolerance"]
    frame, group = grouped()
    anchors = {frame.columns[i - 1] for i in answers["anchor_items"]}
    split = {}
    for item in frame:
        if item in anchors:
            split[item] = frame[item]
        else:
            split[f"{item}@ref"] = frame[item].where(group == "ref")
            split[f"{item}@foc"] = frame[item].where(group == "foc")
    options = CalibrationOptions(n_nodes=97, theta_range=(-8.0, 8.0), reference_group="ref")
    calibration = calibrate(pd.DataFrame(split), "2PL", groups=group, options=options)
    assert calibration.log_likelihood == pytest.approx(expected["logLik"], abs=tolerance["logLik"])
    assert calibration.n_parameters == expected["n_params"]
    mean, sd = calibration.population.of("foc")
    assert mean == pytest.approx(expected["groups"]["foc"]["mean"], abs=tolerance["mean_var_abs"])
    assert sd**2 == pytest.approx(expected["groups"]["foc"]["var"], abs=tolerance["mean_var_abs"])
    assert_focal_errors(calibration, expected["groups"]["foc"], tolerance["se_rel"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("lsat6", -2466.653), ("lsat7", -2658.805), ("numeracy", -7176.404), ("hci", -7526.749)],
)
def test_real_data_reach_the_published_log_likelihood(name: str, value: float) -> None:
    if name == "hci":
        raw = pd.read_csv(shared("data", "hci_raw_options.csv"))
        key = pd.read_csv(shared("data", "hci_key.csv")).set_index("item")["key"]
        frame = pd.DataFrame({item: (raw[item] == key[item]).astype(int) for item in key.index})
    else:
        frame = pd.read_csv(shared("data", f"{name}.csv"))
        frame = frame[
            [c for c in frame.columns if str(c).startswith("scored_" if name == "numeracy" else "Q")]
        ]
    calibration = calibrate(frame, "2PL")
    assert calibration.log_likelihood == pytest.approx(value, abs=6e-4)
    published = pd.read_csv(shared("data", f"ref_{name}_2pl_mml.csv"))
    np.testing.assert_allclose(calibration.to_frame()["a"], published["a"], atol=0.001)
    np.testing.assert_allclose(calibration.to_frame()["b"], published["b"], atol=0.002)


KINDS = ("calib", "recovery", "multigroup", "crosscheck", "fipc", "concurrent")


def test_every_case_of_calibration_in_the_manifest_is_read_by_a_test() -> None:
    wanted = {name for name in CASES if name.split("_")[0] in KINDS}
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    read = {
        constant.value
        for function in tree.body
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
        for constant in ast.walk(function)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    }
    unread = wanted - read - set(CALIBRATIONS)
    assert wanted
    assert not unread, f"no test reads {sorted(unread)}"
