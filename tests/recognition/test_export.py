"""Exported files: they say what they are, agree with their run, and predict in its place."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from actionspace import api
from actionspace.encoders.checkpoint import weights_hash
from actionspace.encoders.encoder import Encoder
from actionspace.encoders.spec import ClipSpec
from actionspace.encoders.swin3d import SwinTransformer3D
from actionspace.errors import RunError, UsageError, WeightsError
from actionspace.events.table import Events
from actionspace.heads.linear import LinearHead
from actionspace.recognition.adapted import save_encoder
from actionspace.recognition.encode import Encoding
from actionspace.recognition.export import export
from actionspace.recognition.exported_archive import check_archive
from actionspace.recognition.exported_session import open_session
from actionspace.recognition.fit import train
from actionspace.recognition.predict import predictions
from actionspace.recognition.probe import Background, Probe
from actionspace.training.predictions import Predictions
from actionspace.training.run import Run
from tests.cli.test_cli import call
from tests.recognition.conftest import recipe

FORMATS = ("onnx", "torch-export")
SUFFIX = {"onnx": ".onnx", "torch-export": ".pt2"}


def swin() -> nn.Module:
    """Shifted windows in space and time, a clipped window, and padding."""
    torch.manual_seed(0)
    net = SwinTransformer3D(embed_dim=8, depths=(2, 2), num_heads=(1, 2), window_size=(2, 3, 3))
    for name, p in net.named_parameters():
        if "bias" in name:
            nn.init.normal_(p)  # of the masks and tables too, so that a wrong one shows
    net.clip = ClipSpec(frames=6, stride=1, size=44, short_side=44)  # type: ignore[assignment]
    return net


class Odd(nn.Module):
    """An encoder that ``how`` makes impossible to export, each in another way."""

    dim, clip = 1, ClipSpec(frames=2, stride=1, size=8, short_side=8)

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        y = self.gain * x.mean(dim=(1, 2, 3, 4))[:, None]
        if self.how == "looks at values" and y.sum() > 0:
            return y + 1
        if self.how == "fixes the batch":
            return y.expand(len(x), 1)
        if self.how == "no counterpart":
            return torch.special.i1(y)
        if self.how == "differs" and torch.compiler.is_compiling():
            return y + 0.5
        return y


def odd(how: str = "") -> nn.Module:
    return Odd(how)


def a_run(path: Path, *overrides: str, multi_label: bool = False) -> Run:
    """A run with a random head, as training would leave it."""
    config = recipe(*overrides)
    encoding = Encoding(config)
    dim, rng = encoding.encoder.dim, np.random.default_rng(0)
    weight = rng.standard_normal((3, dim), np.float32)
    bias = rng.standard_normal(3).astype(np.float32)
    thresholds = (0.3, 0.4, 0.5) if multi_label else ()
    head = LinearHead(weight, bias, ("a", "b|c", "ü"), multi_label, thresholds=thresholds)
    run = Run.start(path)
    run.write_config(config)
    Probe("label", head, Background(note="made up")).save(run, {"encoder": encoding.describe()})
    return run.finish({})


def own(name: str, **options: str) -> list[str]:
    """Overrides for an encoder of this file."""
    given = [f"encoder_options.{k}={v}" for k, v in options.items()]
    return [f"encoder={__name__}:{name}", *given]


@pytest.mark.parametrize("format", FORMATS)
def test_the_file_predicts_what_its_run_predicts(
    long_run: Run, long: Events, tmp_path: Path, format: str
):
    config = long_run.config
    config["clips"]["dtype"] = "float32"  # as exact as the file
    long_run.write_config(config)
    made = export(long_run, format=format)
    assert made.path == long_run.path.parent / f"long{SUFFIX[format]}"
    assert made.parity.batches == (1, 3) and made.parity.probabilities < 1e-5
    true = predictions(long_run, long.root)
    file = Path(shutil.move(made.path, tmp_path / f"alone{SUFFIX[format]}"))
    shutil.rmtree(long_run.path)  # the file is all there is
    found = predictions(file, long.root, out=tmp_path / "out")
    assert len(found.events) > 6
    assert found.events.rows["label"].tolist() == true.events.rows["label"].tolist()
    for name in ("start", "end", "score"):
        np.testing.assert_allclose(found.events.rows[name], true.events.rows[name], atol=1e-4)
    assert found.labels["background"] == true.labels["background"]
    assert found.labels["untrimmed"] == true.labels["untrimmed"]
    np.testing.assert_allclose(*(softmax(p) for p in (found, true)), atol=1e-4)
    everything = predictions(file, long.root / "0.mp4", threshold=0.99, mode="clip")
    assert everything.labels["heads"]["label"]["thresholds"] == [0.99]
    with pytest.raises(UsageError, match=r"takes clips, not features"):
        predictions(file, long.root, features=tmp_path)
    with pytest.raises(UsageError, match=r"holds its weights"):
        predictions(file, long.root, weights="x.pth")


def softmax(found: Predictions) -> np.ndarray:
    return torch.from_numpy(found.raw["label"]).softmax(-1).numpy()


@pytest.fixture(scope="session")
def swins(work: Path) -> dict[str, Path]:
    """The tiny Swin, several labels per clip, in both formats."""
    run = a_run(work / "swin", *own("swin"), "clips.test.stride=3", multi_label=True)
    made = {format: export(run, format=format, tolerance=1e-5) for format in FORMATS}
    return {format: one.path for format, one in made.items()}


def test_other_programs_find_all_they_need_in_the_file(swins: dict[str, Path]):
    model = onnx.load(swins["onnx"])
    about = json.loads({p.key: p.value for p in model.metadata_props}["actionspace"])
    with zipfile.ZipFile(swins["torch-export"]) as archive:
        (extra,) = (n for n in archive.namelist() if n.endswith("extra/actionspace.json"))
        assert json.loads(archive.read(extra)) == about
    assert (about["format"], about["format_version"]) == ("actionspace.exported", 1)
    assert about["run_format_version"] == 1 and about["part"] == "model"
    assert about["input"] == {"name": "clips", "dtype": "uint8", "shape": ["batch", 6, 44, 44, 3]}
    head = about["heads"]["label"]
    assert head["classes"] == ["a", "b|c", "ü"] and head["thresholds"] == [0.3, 0.4, 0.5]
    assert about["activation"] == "sigmoid" and about["background"]["note"] == "made up"
    clip = about["preprocessing"]
    assert (clip["frames"], clip["stride"], clip["size"], clip["fps"]) == (6, 3, 44, None)
    assert clip["mean"] == [123.675, 116.28, 103.53] and clip["resize"] == "fast"
    assert clip["geometry"] == "center" and clip["rows"] == "dense"
    assert about["encoder"]["name"] == f"{__name__}:swin" and about["encoder"]["weights_hash"]
    (given,), outputs = model.graph.input, [o.name for o in model.graph.output]
    assert outputs == ["logits", "probabilities"] == list(about["outputs"])
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert given.type.tensor_type.shape.dim[0].dim_param == "batch"
    for path in swins.values():
        assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()


def test_the_programs_of_the_documentation_run(
    swins: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    for path in swins.values():
        shutil.copy(path, tmp_path / f"model{path.suffix}")
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(programs) == 2
    for program in programs:
        found: dict[str, Any] = {}
        exec(program, found)
        assert found["probabilities"].shape == (2, 3)
        tables = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
        named = {name for cell in tables for name in re.findall(r"`(\w+)`", cell)}
        assert {*found["about"], *found["about"]["preprocessing"]} <= named


@pytest.mark.parametrize("format", FORMATS)
def test_swin_with_masks_and_padding_at_any_batch_size(swins: dict[str, Path], format: str):
    """Compared with the network itself, not with what the export compares."""
    net, head = swin().eval(), Probe.load(Run(swins["onnx"].with_suffix(""))).head
    clips = np.random.default_rng(1).integers(0, 256, (5, 6, 44, 44, 3), np.uint8)
    spec = net.clip
    x = (torch.from_numpy(clips).float() - torch.tensor(spec.mean)) / torch.tensor(spec.std)
    with torch.no_grad():
        features = net(x.movedim(-1, 1)).mean(dim=(2, 3, 4)).numpy()
    logits, probabilities = open_session(swins[format], "cpu").run(clips)
    np.testing.assert_allclose(logits, features @ head.weight.T + head.bias, atol=1e-5)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits)), atol=1e-6)


@pytest.mark.slow
def test_the_starter_becomes_onnx(tmp_path: Path):
    """It sorts, samples at computed places and pools adaptively."""
    made = export(a_run(tmp_path / "run", "encoder=starter"), tmp_path / "s.onnx")
    assert made.about["input"]["shape"] == ["batch", 16, 128, 128, 3]
    assert made.parity.logits < 1e-4


def test_a_head_takes_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rng, rows = np.random.default_rng(0), []
    (tmp_path / "features").mkdir()
    for i in range(12):
        x = rng.normal(size=(10, 4)) + (3 if i % 2 else 0)
        np.save(tmp_path / "features" / f"v{i}.npy", x.astype(np.float32))
        rows.append({"video": f"v{i}.mp4", "label": "ab"[i % 2]})
    videos = [{"video": f"v{i}.mp4", "group": f"g{i // 2}", "duration": 5.0} for i in range(12)]
    events = Events.from_frames(rows, videos, tmp_path)
    timing = "feature_options={stride: 8, window: 16, fps: 16}"
    config = recipe(f"features={tmp_path / 'features'}", timing)
    run = train(config, data=events, out=tmp_path / "run", report=False)
    with pytest.raises(UsageError, match=r"no encoder to export.*--part head"):
        export(run, part="model")
    true = predictions(run, events, features=tmp_path / "features")
    for format in FORMATS:
        file = tmp_path / f"head{SUFFIX[format]}"
        assert call("export", run.path, "--format", format, "--out", file) == 0
        assert f"{file}: features [batch, 4] to 2 classes" in capsys.readouterr().out
        found = predictions(file, events, features=tmp_path / "features")
        assert found.events.rows["label"].tolist() == true.events.rows["label"].tolist()
        np.testing.assert_allclose(found.scores["label"], true.scores["label"], atol=1e-6)
        with pytest.raises(UsageError, match=r"head without its encoder.*features="):
            predictions(file, events)
        np.save(tmp_path / "features" / "wide.npy", np.zeros((10, 5), np.float32))
        wide = Events.from_frames([], [{"video": "wide.mp4", "duration": 5.0}], tmp_path)
        with pytest.raises(WeightsError, match=r"width 5.*takes 4"):
            predictions(file, wide, features=tmp_path / "features")


@pytest.mark.parametrize(
    ("how", "format", "says"),
    [
        ("looks at values", "torch-export", "tests.recognition.test_export:odd.*values of tensors"),
        ("fixes the batch", "torch-export", "x.shape\\[0\\].*--part head"),
        ("no counterpart", "onnx", "bessel_i1.*--format torch-export"),
        ("differs", "torch-export", "does not agree with the run: max error .*tolerance 1e-03"),
    ],
)
def test_what_cannot_be_exported_leaves_what_was_there(
    tmp_path: Path, how: str, format: str, says: str, capfd: pytest.CaptureFixture[str]
):
    run = a_run(tmp_path / "run", *own("odd", how=how))
    out = tmp_path / "out" / f"o{SUFFIX[format]}"
    out.parent.mkdir()
    out.write_text("before")
    with pytest.raises(RunError, match=says):
        export(run, out)
    assert [p.name for p in out.parent.iterdir()] == [out.name] and out.read_text() == "before"
    assert "def forward" not in capfd.readouterr().err
    head = export(run, out, part="head")
    assert head.about["input"]["shape"] == ["batch", 1] and head.about["preprocessing"] is None


def test_wrong_use(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UsageError, match=r"Unknown format 'onx'. Did you mean 'onnx'"):
        export(run, format="onx")
    for out, format in (("m.pt2", "onnx"), ("m.onnx", "torch-export"), ("m.pth", None)):
        with pytest.raises(UsageError, match=r"must end in"):
            export(run, tmp_path / out, format=format)
    with pytest.raises(UsageError, match=r"none of auto, model, head"):
        export(run, part="all")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"Unknown option 'tolerence'.*'tolerance'"):
        api.export(run, tolerence=1)
    moved = a_run(tmp_path / "moved", *own("odd"))
    moved.write_config(recipe(*own("odd"), "weights=gone/w.pth"))
    with pytest.raises(RunError, match=r"gone/w.pth, which are not here.*weights="):
        export(moved)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RunError, match=r"needs onnxruntime.*actionspace\[export\]"):
        export(run)
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(RunError, match=r"needs onnxruntime.*actionspace\[export\]"):
        predictions(tmp_path / "m.onnx", tmp_path)


def test_damaged_and_foreign_files(swins: dict[str, Path], tmp_path: Path):
    with pytest.raises(WeightsError, match=r"does not exist"):
        predictions(tmp_path / "none.onnx", tmp_path)
    for format, path in swins.items():
        half = tmp_path / f"half{SUFFIX[format]}"
        half.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(WeightsError, match=r"Export the run again"):
            predictions(half, tmp_path)
    model = onnx.load(swins["onnx"])
    (entry,) = (p for p in model.metadata_props if p.key == "actionspace")
    entry.value = json.dumps({**json.loads(entry.value), "format_version": 2})
    onnx.save(model, tmp_path / "new.onnx")
    with pytest.raises(WeightsError, match=r"format 2.*Update"):
        predictions(tmp_path / "new.onnx", tmp_path)
    entry.key = "other"
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(WeightsError, match=r"not written by actionspace"):
        predictions(tmp_path / "foreign.onnx", tmp_path)


def _pickled(name: str, text: Any) -> Any:
    if name.endswith("model_weights_config.json"):
        next(iter(text["config"].values()))["use_pickle"] = True
    return text


def _calls(name: str, text: Any) -> Any:
    if name.endswith("models/model.json"):
        text["graph_module"]["graph"]["nodes"][-1]["target"] = "torch.os.system"
    return text


def _computes(name: str, text: Any) -> Any:
    if name.endswith("models/model.json"):
        whole = json.dumps(text).replace("\"Symbol('s", "\"exec('s", 1)
        return json.loads(whole)
    return text


@pytest.mark.parametrize(
    ("change", "says"),
    [(_pickled, "pickled tensors"), (_calls, "torch.os.system"), (_computes, "exec")],
)
def test_code_in_a_file_is_not_run(
    swins: dict[str, Path], tmp_path: Path, change: Callable[[str, Any], Any], says: str
):
    path = tmp_path / "changed.pt2"
    with zipfile.ZipFile(swins["torch-export"]) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith(".json"):
                data = json.dumps(change(name, json.loads(data))).encode()
            new.writestr(name, data)
    with pytest.raises(WeightsError, match=f"{says}.*not loaded"):
        predictions(path, tmp_path)


def test_an_archive_with_sample_inputs_is_refused(tmp_path: Path):
    """torch unpickles them, and falls back to unpickling anything."""
    program = torch.export.export(nn.Linear(2, 2), (torch.zeros(3, 2),))
    torch.export.save(program, tmp_path / "x.pt2")
    with pytest.raises(WeightsError, match=r"sample_inputs/model.pt.*not loaded"):
        check_archive(tmp_path / "x.pt2")


def test_a_fine_tuned_encoder_is_the_one_exported(tmp_path: Path):
    net = Odd("")
    net.gain.data.fill_(3.0)
    run = a_run(tmp_path / "run", *own("odd"))
    run.write_config({**run.config, "mode": "full"})
    save_encoder(run.path, Encoder(net, name="odd", dim=1, clip=net.clip), "full")
    about = {**run.labels["encoder"], "weights_hash": weights_hash(net.state_dict())}
    run.write_labels({**run.labels, "encoder": about})
    clips = np.full((2, 2, 8, 8, 3), 200, np.uint8)
    logits, _ = open_session(export(run, tmp_path / "m.pt2").path).run(clips)
    feature = 3 * ((200 - np.array(net.clip.mean)) / net.clip.std).mean()
    head = Probe.load(run).head
    np.testing.assert_allclose(logits[1], head.weight[:, 0] * feature + head.bias, rtol=1e-5)


def test_sound_is_exported_as_a_head(tmp_path: Path):
    run = a_run(tmp_path / "run", "encoder=logmel")
    with pytest.raises(UsageError, match=r"listens.*--part head"):
        export(run)
    assert export(run, tmp_path / "h.pt2", part="head").about["encoder"]["name"] == "logmel"


def test_from_the_command_line(run: Run, work: Path, tmp_path: Path):
    out = tmp_path / "m.pt2"
    assert call("export", run.path, "--out", out, "--set", "tolerance=1e-4") == 0
    videos = work / "clips" / "left"
    assert call("predict", out, videos, "--out", tmp_path / "p.csv") == 0
    assert (tmp_path / "p.csv").read_text().count("left") >= 6
    assert call("export", tmp_path / "none") == 1
