import pytest
import torch
from torchvision.models import get_model, get_model_weights

from gesta.models import MODELS, TRANSFORMERS_VIDEO, build_clip_model
from gesta.models.torchvision_video import TORCHVISION_VIDEO, published_classes, torchvision_video
from gesta.schema import BadInput, GestaError, UnknownName

SMALLEST = {"s3d": (13, 209)}
FAST = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d", "swin3d_t")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def s3d_file(tmp_path_factory):
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "s3d.pth"
    torch.save(get_model("s3d", num_classes=6).state_dict(), path)
    return path


def test_every_video_model_of_torchvision_is_there():
    assert set(TORCHVISION_VIDEO) >= {"r3d_18", "mc3_18", "r2plus1d_18", "s3d", "mvit_v1_b", "mvit_v2_s"}
    assert len(TORCHVISION_VIDEO) == 9


@pytest.mark.parametrize("name", sorted(TORCHVISION_VIDEO))
def test_parameters_are_as_many_as_torchvision_publishes(name):
    with torch.device("meta"):
        model = TORCHVISION_VIDEO[name](num_classes=400)
    published = get_model_weights(name).KINETICS400_V1.meta["num_params"]
    assert sum(weight.numel() for weight in model.parameters()) == published


@pytest.mark.parametrize("name", FAST)
def test_logits_are_those_of_the_library_bit_for_bit(name):
    frames, side = SMALLEST.get(name, (3, 40))
    clip_BCTHW = torch.rand(2, 3, frames, side, side, generator=torch.Generator().manual_seed(1))
    logits = []
    for build in (TORCHVISION_VIDEO[name], lambda num_classes: get_model(name, num_classes=num_classes)):
        torch.manual_seed(0)
        with torch.inference_mode():
            logits.append(build(num_classes=7).eval()(clip_BCTHW))
    assert logits[0].shape == (2, 7)
    assert torch.equal(*logits)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mvit_v1_b", "mvit_v2_s"])
def test_an_mvit_of_the_published_size_is_the_library_s(name):
    clip_BCTHW = torch.rand(1, 3, 16, 224, 224, generator=torch.Generator().manual_seed(1))
    logits = []
    for build in (TORCHVISION_VIDEO[name], lambda num_classes: get_model(name, num_classes=num_classes)):
        torch.manual_seed(0)
        with torch.inference_mode():
            logits.append(build(num_classes=7).eval()(clip_BCTHW))
    assert torch.equal(*logits)


@pytest.mark.parametrize("name", ["mvit_v1_b", "mvit_v2_s"])
def test_an_mvit_is_built_for_other_clips_and_takes_only_those(name):
    model = TORCHVISION_VIDEO[name](num_classes=5, num_frames=4, crop_px=64).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 4, 64, 64)).shape == (1, 5)
        with pytest.raises(BadInput, match=r"cannot take a clip of shape \[1, 3, 4, 96, 96\].* T = 4 and H, W = 64.*"):
            model(torch.rand(1, 3, 4, 96, 96))


def test_an_mvit_whose_sizes_cannot_be_halved_is_refused():
    with pytest.raises(BadInput, match=r"cannot take 5 frames of 64 px. Want an even num_frames"):
        torchvision_video("mvit_v2_s", num_classes=5, num_frames=5, crop_px=64)


@pytest.mark.parametrize(("frames", "side", "fits"), [(13, 209, True), (12, 209, False), (13, 208, False)])
def test_s3d_says_how_small_a_clip_may_be_and_that_is_the_library_s_own_limit(frames, side, fits):
    clip_BCTHW = torch.rand(1, 3, frames, side, side)
    ours, theirs = torchvision_video("s3d", num_classes=2).eval(), get_model("s3d", num_classes=2).eval()
    with torch.inference_mode():
        if fits:
            assert ours(clip_BCTHW).shape == theirs(clip_BCTHW).shape
        else:
            with pytest.raises(RuntimeError):
                theirs(clip_BCTHW)
            with pytest.raises(BadInput, match=r"T >= 13 and H, W >= 209. Give longer, larger clips"):
                ours(clip_BCTHW)


def test_a_clip_of_flow_is_refused():
    with pytest.raises(BadInput, match=r"r3d_18 cannot take a clip of shape \[1, 2, 4, 32, 32\]"):
        torchvision_video("r3d_18", num_classes=2)(torch.rand(1, 2, 4, 32, 32))


def test_a_file_gives_all_weights_and_a_head_of_other_classes_stays_fresh(s3d_file):
    state = torch.load(s3d_file, weights_only=True)
    same = torchvision_video("s3d", num_classes=6, weights=s3d_file).state_dict()
    other = torchvision_video("s3d", num_classes=3, weights=str(s3d_file)).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in same.items())
    heads = [key for key in other if key.startswith("classifier.1.")]
    assert [tuple(other[key].shape) for key in heads] == [(3, 1024, 1, 1, 1), (3,)]
    assert all(torch.equal(value, state[key]) for key, value in other.items() if key not in heads)


def test_weights_of_another_model_are_named_by_the_first_strange_parameter(s3d_file):
    with pytest.raises(BadInput, match=r"these are no weights of 'r3d_18': '.*' is unknown. Name the model"):
        torchvision_video("r3d_18", num_classes=6, weights=s3d_file)


def test_weights_for_other_positions_are_refused(tmp_path):
    file = tmp_path / "mvit.pth"
    torch.save(torchvision_video("mvit_v1_b", num_classes=2, num_frames=4, crop_px=64).state_dict(), file)
    with pytest.raises(BadInput, match=r"'pos_encoding.spatial_pos' has shape \(256, 96\), want \(64, 96\). Leave"):
        torchvision_video("mvit_v1_b", num_classes=2, num_frames=4, crop_px=32, weights=file)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no weights", "cannot be read as torch weights"), (None, "there is no such file of weights.*KINETICS400_V1")],
)
def test_a_file_that_holds_no_weights_is_named(tmp_path, content, message):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        torchvision_video("s3d", num_classes=6, weights=path)


def test_a_file_that_is_no_state_dict_is_named(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(BadInput, match=r"is no state dict. Save model.state_dict"):
        torchvision_video("s3d", num_classes=6, weights=tmp_path / "list.pth")


def test_a_published_set_that_cannot_be_downloaded_says_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    published = get_model_weights("s3d").KINETICS400_V1

    def refused(*_args, **_kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", refused)
    with pytest.raises(GestaError, match=r"cannot be downloaded.*no route to host.*Fetch ") as caught:
        torchvision_video("s3d", num_classes=400, weights="KINETICS400_V1")
    assert published.url in str(caught.value)


def test_names_that_are_not_there_are_answered_with_those_that_are():
    with pytest.raises(UnknownName, match=r"no video model of torchvision 'r3d'.*r3d_18"):
        torchvision_video("r3d", num_classes=2)
    with pytest.raises(UnknownName, match=r"no published weights of s3d 'KINETICS700'.*KINETICS400_V1"):
        torchvision_video("s3d", num_classes=2, weights="KINETICS700")
    with pytest.raises(UnknownName, match=r"no video model of torchvision 'r3d'"):
        published_classes("r3d", "KINETICS400_V1")


def test_published_classes_are_the_four_hundred():
    names = published_classes("swin3d_b", "KINETICS400_IMAGENET22K_V1")
    assert len(names) == len(set(names)) == 400


def test_models_are_built_by_name_for_the_clips_of_a_recipe():
    model = build_clip_model("mvit_v2_s", num_classes=3, num_frames=4, crop_px=64).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 4, 64, 64)).shape == (1, 3)
    assert build_clip_model("i3d_small", num_classes=3, num_frames=4, crop_px=64) is not None
    with pytest.raises(UnknownName, match=r"no model 'mvit'.*mvit_v2_s"):
        build_clip_model("mvit", num_classes=3, num_frames=4, crop_px=64)


def test_the_names_of_both_libraries_are_models():
    assert {*TORCHVISION_VIDEO, *TRANSFORMERS_VIDEO} <= set(MODELS)
