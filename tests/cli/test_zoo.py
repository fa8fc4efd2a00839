"""`dispose zoo`: imports that run afterwards, a list that survives strange files, refusals in one sentence."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dispose.cli.main import main
from dispose.nn.backbones import Backbone, BackboneConfig
from dispose.zoo.checkpoints import load_weights, released_name


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A backbone as the release stores it."""
    ours = Backbone(BackboneConfig(depth=18, width=8, deconv_chans=8)).state_dict()
    torch.save({released_name(name): value for name, value in ours.items()}, tmp_path / "pose_resnet.pt")
    return tmp_path / "pose_resnet.pt"


def test_a_backbone_is_imported_and_listed(checkpoint, tmp_path, capsys):
    out = tmp_path / "weights" / "backbone.safetensors"
    assert main(["zoo", "import-backbone", str(checkpoint), "--out", str(out)]) == 0
    assert f"wrote {out}" in capsys.readouterr().out
    load_weights(out, Backbone)
    (out.parent / "broken.safetensors").write_bytes(b"\0" * 20)
    assert main(["zoo", "list", str(out.parent)]) == 0
    text = capsys.readouterr().out
    assert "associator.safetensors: Associator" in text
    assert "backbone.safetensors: Backbone" in text
    assert "imported from pose_resnet.pt" in text
    assert "broken.safetensors: not a complete safetensors file" in text


def test_half_precision_is_smaller_and_loads(checkpoint, tmp_path, capsys):
    for name, extra in (("single", []), ("half", ["--half"])):
        assert (
            main(["zoo", "import-backbone", str(checkpoint), "--out", str(tmp_path / f"{name}.safetensors"), *extra])
            == 0
        )
    assert "float16" in capsys.readouterr().out
    single, half = (tmp_path / f"{name}.safetensors" for name in ("single", "half"))
    assert half.stat().st_size < 0.6 * single.stat().st_size
    assert next(load_weights(half, Backbone).parameters()).dtype == torch.float32


def test_a_list_of_nothing_says_so(tmp_path, capsys):
    assert main(["zoo", "list", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out.rstrip().endswith("none")


@pytest.mark.parametrize("odd", [{"recipe": "[]"}, {"config": "[]"}, {"config": "{"}, {"recipe": "3"}])
def test_a_list_tells_of_weights_whose_metadata_are_odd(tmp_path, capsys, odd: dict[str, str]):
    told = {"network": "Backbone", "config": "{}", "recipe": "", "note": ""} | odd
    save_file({"one": torch.zeros(1)}, tmp_path / "odd.safetensors", told)
    assert main(["zoo", "list", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"  {tmp_path / 'odd.safetensors'}: metadata")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["import", "{checkpoint}"], "needs --dataset, one of panoptic, shelf, campus, mm_or"),
        (["import"], "needs the path of a checkpoint"),
        (["import", "{checkpoint}", "--dataset", "shelf"], "lacks root_regression_net.alpha"),
        (["import-backbone", "{checkpoint}.none"], "there is no such file"),
        (["import-backbone", "{checkpoint}", "--out", "weights.pt"], "name a file that ends in .safetensors"),
        (["list", "{checkpoint}"], "takes a folder"),
    ],
)
def test_refusals_are_one_sentence(checkpoint, capsys, arguments, sentence):
    assert main(["zoo", *(word.replace("{checkpoint}", str(checkpoint)) for word in arguments)]) == 2
    complaint = capsys.readouterr().err
    assert sentence in complaint
    assert len(complaint.splitlines()) == 1


def test_a_refused_import_leaves_the_old_file(checkpoint, tmp_path):
    out = tmp_path / "mine.safetensors"
    out.write_bytes(b"old")
    assert main(["zoo", "import", str(checkpoint), "--dataset", "panoptic", "--out", str(out)]) == 2
    assert out.read_bytes() == b"old"
