"""The travel document: what it holds, what it refuses, and what it predicts."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from toolkit.ground.errors import ModelError, RunFolderError
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.learning.batches import Standardiser
from toolkit.learning.checkpoint import Model
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import MlpParams, NetworkParams, build_network, columns, register

NAMES = ("B2_20180101", "B3_20180101", "B2_20180111", "B3_20180111", "NDVI_20180101", "NDVI_20180111")


def make_model(nomenclature: Nomenclature, params: NetworkParams | None = None, seed: int = 0) -> Model:
    params = params or MlpParams()
    torch.manual_seed(seed)
    built = build_network(params, InputLayout.unnamed(len(NAMES)), len(nomenclature))
    with torch.no_grad():
        [*built.modules()][-1].weight.mul_(8)  # type: ignore[operator,union-attr]  # as decided as a trained one
    rng = np.random.default_rng(seed)
    return Model(
        params=params,
        weights=built.state_dict(),
        standardiser=Standardiser(rng.normal(3000, 500, 6), rng.uniform(300, 900, 6)),
        feature_names=NAMES,
        nomenclature=nomenclature,
        dates=np.array(["2018-01-01", "2018-01-11"], dtype="datetime64[D]"),
        seed=seed,
        best={"epoch": 4, "f_score": 0.5, "oa": 0.6, "kappa": 0.4, "train_loss": 1.5, "valid_loss": 1.6},
    )


@pytest.fixture
def model(nomenclature: Nomenclature) -> Model:
    return make_model(nomenclature)


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path / "model"


def pixels(count: int, seed: int = 1) -> np.ndarray:
    """float32 of shape (feature, pixel)."""
    return np.random.default_rng(seed).normal(3000, 1200, (len(NAMES), count)).astype(np.float32)


def explicit_probabilities(model: Model, features: np.ndarray) -> np.ndarray:
    """Standardise, forward, softmax, in the way of training: (sample, class)."""
    built = build_network(model.params, InputLayout.unnamed(len(NAMES)), len(model.nomenclature)).eval()
    built.load_state_dict(model.weights)
    values = (features.T.astype(np.float64) - model.standardiser.mean) / model.standardiser.std
    logits = built(torch.from_numpy(values.astype(np.float32)))
    return torch.softmax(logits, 1).detach().numpy()


def test_document_is_read_by_people_and_weights_by_safetensors(folder: Path, model: Model) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]
    document = json.loads((folder / "model.json").read_text())
    assert document["network"] == {"name": "mlp", "hidden": None, "dropout": 0.0, "batch_norm": False}
    assert document["feature_names"] == list(NAMES)
    assert document["nomenclature"]["classes"][4] == [200, "class 200", "#0000c8"]
    assert document["dates"] == ["2018-01-01", "2018-01-11"]
    assert document["best"]["epoch"] == 4
    assert {"python", "torch", "numpy", "safetensors"} <= set(document["versions"])
    tensors = load_file(folder / "weights.safetensors")
    assert tensors["normalisation.mean"].dtype == tensors["normalisation.std"].dtype == np.float64
    np.testing.assert_array_equal(tensors["normalisation.mean"], model.standardiser.mean)


def test_a_loaded_model_is_the_saved_one(folder: Path, model: Model) -> None:
    loaded = Model.load(folder)
    for name in ("params", "feature_names", "nomenclature", "seed", "best", "versions"):
        assert getattr(loaded, name) == getattr(model, name)
    np.testing.assert_array_equal(loaded.dates, model.dates)
    assert loaded.dates.dtype == model.dates.dtype
    features = pixels(500)
    for ours, theirs in zip(loaded.predict(features), model.predict(features), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert "6 features, 5 classes, epoch 4" in repr(loaded)


def test_equal_models_are_equal_files(nomenclature: Nomenclature, tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_model(nomenclature).save(tmp_path / name)
    for file in ("model.json", "weights.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("params", [MlpParams(), MlpParams(hidden=(9, 7), batch_norm=True, dropout=0.3)])
def test_prediction_is_that_of_the_explicit_way(nomenclature: Nomenclature, params: MlpParams) -> None:
    model = make_model(nomenclature, params)
    features = pixels(columns.PIXELS + 77)  # more than one chunk, the last one short
    expected = explicit_probabilities(model, features)
    probabilities = model.predict_probabilities(features)
    assert probabilities.shape == (5, features.shape[1])
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected.T, atol=2e-6)
    codes, confidence = model.predict(features)
    np.testing.assert_array_equal(codes, nomenclature.codes[expected.argmax(1)])
    assert np.abs(confidence - 100 * expected.max(1)).max() <= 0.501


def test_a_network_of_ones_own_travels_too(
    registered: dict[str, Any], nomenclature: Nomenclature, tmp_path: Path
) -> None:
    class CurveParams(NetworkParams):
        name: Literal["curve"] = "curve"
        width: int = 4

    @register(CurveParams)
    class Curve(nn.Sequential):
        def __init__(self, params: CurveParams, inputs: InputLayout, n_classes: int) -> None:
            super().__init__(nn.Linear(inputs.width, params.width), nn.Tanh(), nn.Linear(params.width, n_classes))

    model = make_model(nomenclature, CurveParams(width=7))
    model.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    assert loaded.params == CurveParams(width=7)
    features = pixels(300)
    expected = explicit_probabilities(model, features).T
    np.testing.assert_allclose(loaded.predict_probabilities(features), expected, atol=2e-6)


def test_codes_are_those_of_a_nomenclature_with_gaps(model: Model) -> None:
    codes, confidence = model.predict(pixels(5000))
    assert codes.dtype == confidence.dtype == np.uint8
    assert codes.shape == confidence.shape == (5000,)
    assert set(codes) <= {2, 5, 9, 30, 200}
    assert len(set(codes)) > 2
    assert 20 <= confidence.min() < 50
    assert 50 < confidence.max() <= 100


def test_a_certain_network_has_confidence_100_and_an_undecided_one_the_share(nomenclature: Nomenclature) -> None:
    model = make_model(nomenclature, MlpParams(hidden=()))
    for bias, expected in (([0.0] * 5, (2, 20)), ([0, 0, 0, 0, 1e4], (200, 100))):
        weights = {"layers.0.weight": torch.zeros(5, 6), "layers.0.bias": torch.tensor(bias)}
        sure = Model(**{**_fields(model), "weights": weights})
        codes, confidence = sure.predict(pixels(3))
        assert {*zip(codes.tolist(), confidence.tolist(), strict=True)} == {expected}


def _fields(model: Model) -> dict[str, Any]:
    return {name: getattr(model, name) for name in Model.__dataclass_fields__}


def test_layout_and_chunks_do_not_matter(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    features = pixels(1000)
    expected = model.predict(features)
    read_only = features.copy()
    read_only.flags.writeable = False
    transposed = np.ascontiguousarray(features.T).T
    for other in (read_only, transposed, features.astype(np.float64), np.repeat(features, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(model.predict(other)[0], expected[0])
    monkeypatch.setattr(columns, "PIXELS", 64)
    np.testing.assert_array_equal(model.predict(features)[0], expected[0])


def test_features_are_left_as_they_are(model: Model) -> None:
    features = pixels(300)
    before = features.copy()
    model.predict(features)
    model.predict_probabilities(features)
    np.testing.assert_array_equal(features, before)


def test_no_pixel(model: Model) -> None:
    codes, confidence = model.predict(pixels(0))
    assert codes.shape == confidence.shape == (0,)
    assert model.predict_probabilities(pixels(0)).shape == (5, 0)


def test_threads_share_a_model(model: Model) -> None:
    parts = [pixels(2000, seed) for seed in range(6)]
    expected = [model.predict(part)[0] for part in parts]
    with ThreadPoolExecutor(3) as pool:
        for ours, theirs in zip(pool.map(lambda part: model.predict(part)[0], parts), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_another_number_of_features_is_refused(model: Model) -> None:
    with pytest.raises(ModelError, match=r"shape \(5, 10\) do not fit the model's \(6, pixel\)"):
        model.predict(pixels(10)[:5])


def test_feature_names_that_differ_are_named(model: Model) -> None:
    model.check_features(NAMES)
    model.check_features(list(NAMES))
    others = ["B2_20180101", "B3_20180101", "B2_20180121", "B3_20180121", "NDVI_20180121", "EVI_1", "EVI_2"]
    with pytest.raises(ModelError) as caught:
        model.check_features(others, "tile 31TCJ")
    message = str(caught.value)
    assert "tile 31TCJ has 7 features, the model 6" in message
    assert "missing B2_20180111, B3_20180111, NDVI_20180101 and 1 more" in message
    assert "unexpected B2_20180121, B3_20180121, NDVI_20180121 and 2 more" in message


def test_feature_names_in_another_order_are_refused(model: Model) -> None:
    swapped = [NAMES[0], NAMES[2], NAMES[1], *NAMES[3:]]
    with pytest.raises(ModelError, match="another order, feature 2 is B2_20180111 instead of B3_20180101"):
        model.check_features(swapped)
    with pytest.raises(ModelError, match="some stand twice"):
        model.check_features([*NAMES, NAMES[0]])


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"{name}: No such file"):
        Model.load(folder)


def test_no_model_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent.model\.json: No such file .*; train the model"):
        Model.load(tmp_path / "absent")


def _flip(data: bytes) -> bytes:
    return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"", lambda data: b"\xff" * 64, _flip])
def test_damaged_weights_are_refused(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match=r"damaged or not a model .*weights\.safetensors is not the file"):
        Model.load(folder)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("format", 99, "its format is 99"),
        ("network", {"name": "tempcmm"}, "network 'tempcmm' is not known"),
        ("network", {"name": "mlp", "hidden": [4]}, "damaged"),
        ("network", {"name": "mlp", "width": 4}, "width is not a parameter"),
        ("dates", ["yesterday"], "damaged"),
        ("nomenclature", {"name": "x", "classes": [[1, "a", "#000000"], [1, "b", "#000000"]]}, "stands twice"),
        ("feature_names", ["B2"], "damaged"),
        ("best", None, None),
    ],
)
def test_a_changed_document_is_refused(folder: Path, key: str, value: Any, words: str | None) -> None:
    path = folder / "model.json"
    document = json.loads(path.read_text())
    if words is None:
        del document[key]
    else:
        document[key] = value
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError, match=words or f"damaged or not a model .*{key}"):
        Model.load(folder)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '"model"', "\x00\x01"])
def test_a_document_that_is_no_document_is_refused(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text)
    with pytest.raises(ModelError, match="damaged or not a model"):
        Model.load(folder)


def test_saving_again_replaces_the_model(folder: Path, nomenclature: Nomenclature) -> None:
    (folder / "stray").write_text("x")
    make_model(nomenclature, MlpParams(hidden=(3,)), seed=9).save(folder)
    assert Model.load(folder).params == MlpParams(hidden=(3,))
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert not (folder / "stray").exists()


def test_a_save_killed_between_its_renames_leaves_the_model_before(folder: Path, nomenclature: Nomenclature) -> None:
    folder.rename(folder.with_name(".model.previous"))
    (folder.parent / ".model.part").mkdir()
    assert Model.load(folder).params == MlpParams()
    make_model(nomenclature, seed=9).save(folder)
    assert Model.load(folder).seed == 9
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_full_disk_leaves_the_model_as_it_was(
    folder: Path, nomenclature: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunFolderError, match="disk is full"):
        make_model(nomenclature, seed=9).save(folder)
    monkeypatch.undo()
    assert Model.load(folder).seed == 0


def test_a_copied_folder_is_a_model(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere" / "oso")
    assert Model.load(tmp_path / "elsewhere" / "oso").feature_names == NAMES


def test_labels_of_any_language_survive(tmp_path: Path) -> None:
    classes = (LandCoverClass(1, "Forêt de feuillus", "#009c00"), LandCoverClass(2, "水", "#0000ff"))
    make_model(Nomenclature("été", classes)).save(tmp_path / "m")
    assert Model.load(tmp_path / "m").nomenclature.classes == classes


def test_nothing_in_a_model_is_executed(folder: Path) -> None:
    """A pickle in place of the weights is refused unread."""
    torch.save(nn.Linear(2, 2), folder / "weights.safetensors")
    with pytest.raises(ModelError, match="damaged"):
        Model.load(folder)


def test_standardised_features_give_the_same_classes(model: Model) -> None:
    features = pixels(5000)
    codes, confidence = model.predict(features)
    same, other = model.predict(model.form().of(features), standardised=True)
    assert (codes == same).mean() > 0.999
    assert np.abs(confidence.astype(int) - other).max() <= 1


def test_the_network_runs_in_bfloat16_on_bits_of_it(model: Model) -> None:
    """Its logits come out as float32, so that probabilities are of full precision."""
    features = pixels(5000)
    bits = model.form(bfloat16=True).of(features)
    assert bits.dtype == np.uint16
    codes, confidence = model.predict(features)
    near, about = model.predict(bits, standardised=True)
    assert (codes == near).mean() > 0.97
    assert np.abs(confidence.astype(int) - about)[codes == near].mean() < 2
    wanted, found = model.predict_probabilities(features), model.predict_probabilities(bits, standardised=True)
    assert found.dtype == np.float32 and np.abs(found - wanted).mean() < 0.01
    assert np.abs(found.sum(axis=0) - 1).max() < 1e-5
    with pytest.raises(ValueError, match=r"standardise before, see Model\.form"):
        model.predict(bits)
