"""The batch-normalised LSTM against its equations written out, step by step."""

import numpy as np
import pytest
import torch

from gesta.models.conv_lstm import BatchNormLstm, ConvLstm

EPSILON = 1e-5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def written_out(lstm: BatchNormLstm, frames_BTD: np.ndarray, *, max_steps: int, averages: dict | None) -> np.ndarray:
    """Equations 6 to 8 of Cooijmans et al.; with the batch's statistics (None) or the running ones of each step."""
    weight = {name: value.detach().double().numpy() for name, value in lstm.named_parameters()}

    def norm(x_BF, which, step):
        mean, var = (x_BF.mean(0), x_BF.var(0)) if averages is None else averages[which, min(step, max_steps - 1)]
        return weight[f"{which}.scale"] * (x_BF - mean) / np.sqrt(var + EPSILON)

    hidden = np.zeros((len(frames_BTD), lstm.num_units))
    cell, states = np.zeros_like(hidden), []
    for step in range(frames_BTD.shape[1]):
        from_hidden = norm(hidden @ weight["hidden_weight"].T, "hidden_norm", step)
        from_input = norm(frames_BTD[:, step] @ weight["input_weight"].T, "input_norm", step)
        forget, enter, leave, candidate = np.split(from_hidden + from_input + weight["bias"], 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
        hidden = sigmoid(leave) * np.tanh(norm(cell, "cell_norm", step) + weight["cell_norm.offset"])
        states.append(hidden)
    return np.stack(states, axis=1)


def lstm_of(max_steps: int) -> BatchNormLstm:
    torch.manual_seed(0)
    lstm = BatchNormLstm(5, 3, max_steps=max_steps).double()
    for weight in lstm.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    return lstm


def test_in_training_it_is_the_papers_equations_with_the_batchs_statistics():
    lstm, frames_BTD = lstm_of(3), torch.randn(6, 5, 5, dtype=torch.float64)
    expected = written_out(lstm, frames_BTD.numpy(), max_steps=3, averages=None)
    np.testing.assert_allclose(lstm.train()(frames_BTD).detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_in_evaluation_each_step_has_its_own_averages_and_late_steps_the_last_ones():
    lstm, max_steps = lstm_of(3), 3
    averages = {}
    for which in ("hidden_norm", "input_norm", "cell_norm"):
        for step, norm in enumerate(getattr(lstm, which).norms):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            averages[which, step] = norm.running_mean.numpy(), norm.running_var.numpy()
    frames_BTD = torch.randn(2, 7, 5, dtype=torch.float64)
    expected = written_out(lstm, frames_BTD.numpy(), max_steps=max_steps, averages=averages)
    np.testing.assert_allclose(lstm.eval()(frames_BTD).detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_training_moves_the_averages_of_the_steps_it_saw_and_no_others():
    lstm = lstm_of(4).train()
    lstm(torch.randn(6, 2, 5, dtype=torch.float64))
    assert [int(norm.num_batches_tracked) for norm in lstm.input_norm.norms] == [1, 1, 0, 0]


def test_scales_start_at_a_tenth_and_weights_orthogonal():
    lstm = BatchNormLstm(7, 4)
    for which in (lstm.hidden_norm, lstm.input_norm, lstm.cell_norm):
        assert torch.equal(which.scale, torch.full_like(which.scale, 0.1))
    for gate in lstm.hidden_weight.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(4), rtol=0, atol=1e-5)


def test_the_logits_are_the_last_frames_and_frames_know_those_before_them_alone():
    torch.manual_seed(0)
    model = ConvLstm(num_classes=3, num_units=8).eval()
    clip_BCTHW = torch.randn(2, 3, 3, 33, 33)
    steps_BTK = model.step_logits(clip_BCTHW)
    assert steps_BTK.shape == (2, 3, 3)
    assert torch.equal(model(clip_BCTHW), steps_BTK[:, -1])
    other_BCTHW = clip_BCTHW.clone()
    other_BCTHW[:, :, 2] = 0
    others_BTK = model.step_logits(other_BCTHW)
    assert torch.equal(others_BTK[:, :2], steps_BTK[:, :2])
    assert not torch.allclose(others_BTK[:, 2], steps_BTK[:, 2])


def test_one_clip_to_train_on_is_refused():
    model = ConvLstm(num_classes=3, num_units=8).train()
    with pytest.raises(ValueError, match="conv_lstm: one clip to train on, want two or more"):
        model(torch.zeros(1, 3, 2, 33, 33))
