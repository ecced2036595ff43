"""Exactly the declared parameters train; encoders stay frozen."""

import pytest
import torch
from tiny_training import tiny_recipe

from minigemini.training import trainable
from minigemini.training.build_model import TrainModule
from minigemini.training.settings import RecipeError

MIXTRAL = {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}


@pytest.fixture
def recipe(tmp_path):
    return lambda **changes: tiny_recipe(tmp_path, tmp_path, **changes)


def trainable_names(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def set_trainable(model, recipe):
    parts = trainable.declared(recipe, model.config)
    trainable.apply(model, parts)
    return parts


def test_align_trains_mining_and_projector(make_model, recipe):
    model = make_model()
    counts = trainable.check(model, set_trainable(model, recipe(stage="align")))
    assert set(counts) == {"mining", "projector"}
    assert all(".patch_info_mining." in name or ".multi_modal_projector." in name for name in trainable_names(model))


def test_instruct_trains_the_language_model_with_its_routers(make_model, recipe):
    model = make_model(text_config=MIXTRAL)
    trainable.check(model, set_trainable(model, recipe()))
    everything = {name for name, _ in model.named_parameters()}
    assert everything - trainable_names(model) == {name for name in everything if "vision_tower" in name}
    assert sum("gate.weight" in name for name in trainable_names(model)) == 2


def test_tune_encoders_trains_upper_layers(make_model, recipe):
    model = make_model()
    counts = trainable.check(model, set_trainable(model, recipe(tune_encoders=True)))
    assert counts["upper layers of the low-resolution encoder"]
    towers = {name for name in trainable_names(model) if "vision_tower" in name}
    assert {name.split(".")[4] for name in towers if "high_res" not in name} == {"1"}  # of layers 0 and 1
    stages_of = {tuple(name.split(".")[4:7]) for name in towers if "high_res" in name}
    assert stages_of == {(str(stage), "layers", "0") for stage in range(4)}


def test_baseline_without_mining_trains_the_projector(make_model, recipe):
    model = make_model(high_res_vision_config=None)
    assert set(trainable.check(model, set_trainable(model, recipe(stage="align")))) == {"projector"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("model.multi_modal_projector", False), "4 tensors with 1,600 parameters are declared but frozen"),
        (("model.vision_tower", True), "train but are not declared: model.vision_tower"),
        (("lm_head", True), "1 tensors with 8,320 parameters train but are not declared: lm_head.weight"),
    ],
)
def test_undeclared_changes_are_rejected(make_model, recipe, change, message):
    model = make_model()
    parts = set_trainable(model, recipe(stage="align"))
    model.get_submodule(change[0]).requires_grad_(change[1])
    with pytest.raises(RecipeError, match=message):
        trainable.check(model, parts)


def test_nothing_to_train_is_rejected(make_model):
    with pytest.raises(RecipeError, match="no parameters to train for adapter"):
        trainable.check(make_model(), {"adapter": r"\.lora_"})
    with pytest.raises(RecipeError, match="no parameters to train"):
        trainable.check(make_model(), {})


def test_frozen_encoders_build_no_graph_and_stay_in_eval_mode(make_model, recipe):
    model = make_model()
    set_trainable(model, recipe())
    trainable.freeze_encoders(model)
    model.train()
    low = model.model.get_low_res_features(torch.rand(1, 3, 16, 16))
    maps = model.model.get_high_res_stage_maps(torch.rand(1, 3, 32, 32))
    assert low.grad_fn is None
    assert all(stage_map.grad_fn is None for stage_map in maps)
    assert not any(
        m.training for t in (model.model.vision_tower, model.model.high_res_vision_tower) for m in t.modules()
    )
    assert model.model.language_model.training


def test_dtypes(make_model, recipe):
    model = make_model()
    parts = set_trainable(model, recipe(stage="align"))
    trainable.set_dtypes(model, parts, torch.bfloat16)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == (torch.float32 if parameter.requires_grad else torch.bfloat16), name
    assert trainable.frozen_dtype("bf16", torch.device("cpu")) == torch.float32
    assert trainable.frozen_dtype("bf16", torch.device("cuda")) == torch.bfloat16


def test_gradients_without_an_image_are_zero_not_missing(make_model, recipe):
    model = make_model()
    set_trainable(model, recipe())
    ids = torch.tensor([[1, 20, 30, 40]])
    TrainModule(model)(input_ids=ids, labels=ids)["loss"].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert not model.model.multi_modal_projector[0].weight.grad.any()
