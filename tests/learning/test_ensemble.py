"""Several models as one: the mean of their probabilities, and all that a map makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.learning.test_checkpoint import make_model, pixels
from toolkit.ground.errors import ModelError, ParameterError
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.learning.ensemble import Ensemble

OUTPUTS = ("class", "confidence", "probabilities", "margin", "entropy")


@pytest.fixture
def ensemble(nomenclature: Nomenclature) -> Ensemble:
    return Ensemble(tuple(make_model(nomenclature, seed=seed) for seed in (0, 1, 2)))


def test_probabilities_are_the_mean_of_the_members(ensemble: Ensemble) -> None:
    features = pixels(300)
    wanted = np.mean([one.predict_probabilities(features) for one in ensemble.members], axis=0)
    np.testing.assert_allclose(ensemble.predict_probabilities(features), wanted, atol=1e-6)
    found = ensemble.predict_outputs(features, OUTPUTS)
    np.testing.assert_allclose(found["probabilities"], 100 * wanted, atol=0.51)
    np.testing.assert_allclose(found["confidence"], 100 * wanted.max(axis=0), atol=0.51)
    ordered = np.sort(wanted, axis=0)
    np.testing.assert_allclose(found["margin"], 100 * (ordered[-1] - ordered[-2]), atol=0.51)
    sure = ordered[-1] - ordered[-2] > 1e-5
    codes = ensemble.nomenclature.codes[wanted.argmax(axis=0)]
    assert sure.mean() > 0.9 and np.array_equal(found["class"][sure], codes[sure])
    classes, confidence = ensemble.predict(features)
    assert np.array_equal(classes, found["class"]) and np.array_equal(confidence, found["confidence"])


def test_members_are_not_alike(ensemble: Ensemble) -> None:
    features = pixels(300)
    one, other, _ = (member.predict(features)[0] for member in ensemble.members)
    assert (one != other).any(), "else the tests of this file say nothing"


def test_an_ensemble_of_one_says_what_the_model_says(nomenclature: Nomenclature) -> None:
    model, features = make_model(nomenclature), pixels(300)
    plain, found = model.predict_outputs(features, OUTPUTS), Ensemble((model,)).predict_outputs(features, OUTPUTS)
    for name in OUTPUTS[1:]:
        assert np.abs(plain[name].astype(int) - found[name]).max() <= 1, name
    assert (plain["class"] == found["class"]).mean() > 0.99


def test_other_classes_are_refused(nomenclature: Nomenclature) -> None:
    other = Nomenclature("other", (*nomenclature.classes[:-1], LandCoverClass(77, "new", "#123456")))
    with pytest.raises(ModelError, match=r"model 2 of the ensemble has other classes \(other\)"):
        Ensemble((make_model(nomenclature), make_model(other)))


def test_features_are_checked_of_every_member(ensemble: Ensemble) -> None:
    names = ensemble.members[0].feature_names
    ensemble.check_features(names)
    last = replace(ensemble.members[-1], feature_names=(*names[:-1], "slope"))
    with pytest.raises(ModelError, match="missing slope"):
        Ensemble((*ensemble.members[:-1], last)).check_features(names)


def test_bfloat16_is_refused(ensemble: Ensemble) -> None:
    assert ensemble.form().plain
    with pytest.raises(ParameterError, match="each standardise"):
        ensemble.form(bfloat16=True)
