"""ResNet-50 on every frame and a batch-normalised LSTM over them: the ConvNet+LSTM of Kinetics-400.

Shapes: B clips, C channels, T frames, H and W pixels; D features of a frame; F the LSTM's hidden units; K classes.

Source: Kay et al., The Kinetics Human Action Video Dataset (2017), section 4.1: an LSTM with batch norm (Cooijmans et
al., Recurrent Batch Normalization, 2016) of 512 units after the last average pool of a ResNet-50, a fully connected
layer on top, the last frame's output at test.

28,963,280 parameters with 400 classes; table 3 says 29 M. 190.8 G multiply-adds for its 25 frames of 299 x 299.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from gesta.models.clip_shape import check_clip
from gesta.models.resnet import resnet50_body

FIRST_SCALE = 0.1
"""First scale of the LSTM's batch norms. Source: Cooijmans et al., section 4: at 1 the gates saturate."""

NUM_UNITS = 512
"""Hidden units. Source: Kay et al., section 4.1."""

MAX_STEPS = 25
"""Steps with statistics of their own: the frames it is trained on. Source: Kay et al., table 3."""


class StepNorm(nn.Module):
    """Batch norm with one scale for all steps and running averages of each step up to `max_steps`.

    Later steps share the last one's averages. There is no offset: the LSTM's bias, or `offset` here, stands for it.

    Source: Cooijmans et al., section 3: "Batch-Normalized LSTM", the last paragraphs.
    """

    def __init__(self, num_features: int, *, max_steps: int, offset: bool = False) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm1d(num_features, affine=False) for _ in range(max_steps))
        self.scale = nn.Parameter(torch.full((num_features,), FIRST_SCALE))
        self.offset = nn.Parameter(torch.zeros(num_features)) if offset else None

    def forward(self, x_BF: Tensor, *, step: int) -> Tensor:
        """`x_BF` [B, F] normalised with the statistics of `step`, the first of which is 0."""
        scaled_BF = self.scale * self.norms[min(step, len(self.norms) - 1)](x_BF)
        return cast(Tensor, scaled_BF if self.offset is None else scaled_BF + self.offset)


class BatchNormLstm(nn.Module):
    """An LSTM whose input and hidden terms are normalised apart, and its cell on the way to the output.

    gates = norm(h W_h) + norm(x W_x) + bias, in the order forget, input, output, candidate; cell = sigmoid(forget) *
    cell + sigmoid(input) * tanh(candidate); h = sigmoid(output) * tanh(norm(cell)).

    Weights start orthogonal, bias and states at 0.

    Source: Cooijmans et al., equations 6 to 8; the start, section 5.
    """

    def __init__(self, num_features: int, num_units: int, *, max_steps: int = MAX_STEPS) -> None:
        super().__init__()
        self.num_units = num_units
        self.input_weight = nn.Parameter(torch.empty(4 * num_units, num_features))
        self.hidden_weight = nn.Parameter(torch.empty(4 * num_units, num_units))
        self.bias = nn.Parameter(torch.zeros(4 * num_units))
        self.input_norm = StepNorm(4 * num_units, max_steps=max_steps)
        self.hidden_norm = StepNorm(4 * num_units, max_steps=max_steps)
        self.cell_norm = StepNorm(num_units, max_steps=max_steps, offset=True)
        for weight in (self.input_weight, self.hidden_weight):
            for gate in weight.detach().chunk(4):
                nn.init.orthogonal_(gate)

    def forward(self, frames_BTD: Tensor) -> Tensor:
        """Hidden states [B, T, F] of every step."""
        inputs_BTG = nn.functional.linear(frames_BTD, self.input_weight)
        hidden_BF = frames_BTD.new_zeros((len(frames_BTD), self.num_units))
        cell_BF = torch.zeros_like(hidden_BF)
        states: list[Tensor] = []
        for step in range(frames_BTD.shape[1]):
            from_hidden = self.hidden_norm(nn.functional.linear(hidden_BF, self.hidden_weight), step=step)
            gates_BG = from_hidden + self.input_norm(inputs_BTG[:, step], step=step) + self.bias
            forget, enter, leave, candidate = gates_BG.chunk(4, dim=1)
            cell_BF = forget.sigmoid() * cell_BF + enter.sigmoid() * candidate.tanh()
            hidden_BF = leave.sigmoid() * self.cell_norm(cell_BF, step=step).tanh()
            states.append(hidden_BF)
        return torch.stack(states, dim=1)


class ConvLstm(nn.Module):
    """Logits of the last frame of a clip of any number of frames and any size.

    `checkpoint_activations` computes the ResNet's activations again in the backward pass.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        num_units: int = NUM_UNITS,
        max_steps: int = MAX_STEPS,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        self.body = resnet50_body()
        self.body.checkpoint_activations = checkpoint_activations
        self.lstm = BatchNormLstm(self.body.num_features, num_units, max_steps=max_steps)
        self.logits = nn.Linear(num_units, num_classes)

    @property
    def checkpoint_activations(self) -> bool:
        """Whether the ResNet's activations are computed again in the backward pass instead of kept."""
        return self.body.checkpoint_activations

    @checkpoint_activations.setter
    def checkpoint_activations(self, is_on: bool) -> None:
        self.body.checkpoint_activations = is_on

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K] of the last frame of clips [B, 3, T, H, W].

        Raises:
            ValueError: the clips have another shape, or one clip alone is given to train on.
        """
        return cast(Tensor, self.logits(self._states(clip_BCTHW)[:, -1]))

    def step_logits(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, T, K] of every frame, each of which knows the frames before it.

        Raises:
            ValueError: the clips have another shape than [B, 3, T, H, W], or one clip alone is given to train on.
        """
        return cast(Tensor, self.logits(self._states(clip_BCTHW)))

    def _states(self, clip_BCTHW: Tensor) -> Tensor:
        check_clip(clip_BCTHW, num_channels=3, model="conv_lstm")
        num_clips, _, num_frames = clip_BCTHW.shape[:3]
        if self.training and num_clips == 1:
            raise ValueError("conv_lstm: one clip to train on, want two or more for the LSTM's batch norm")
        frames_NCHW = clip_BCTHW.transpose(1, 2).flatten(0, 1)
        return cast(Tensor, self.lstm(self.body(frames_NCHW).unflatten(0, (num_clips, num_frames))))


def conv_lstm(*, num_classes: int) -> ConvLstm:
    """ResNet-50 and a batch-normalised LSTM of 512 for RGB clips [B, 3, T, H, W] of standard scale.

    28,758,080 parameters and 513 for each class.
    """
    return ConvLstm(num_classes=num_classes)
