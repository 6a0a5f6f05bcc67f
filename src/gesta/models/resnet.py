"""torchvision's ResNets as bodies for frames: any number of channels in, averaged features out.

Shapes: N images, C channels, H and W pixels; D features; h and w the grid of a stage.

Source: He et al., Deep Residual Learning (2015), table 1, as torchvision builds it (the stride of a bottleneck in its
3x3 convolution). Parameters bear torchvision's names, so its ResNet weights load. Convolutions start as there: He
et al. (2015) for ReLU, by fan out.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from gesta.models.recompute import recomputed


class ResNetBody(nn.Module):
    """Features [N, D] after the last average pool of images [N, num_channels, H, W].

    Without the max pool behind the stem (`pool_stem=False`) it suits images of about 64 pixels.
    """

    def __init__(self, net: ResNet, *, num_channels: int = 3, pool_stem: bool = True) -> None:
        super().__init__()
        self.num_features: int = net.fc.in_features
        self.pool_stem = pool_stem
        self.checkpoint_activations = False
        self.conv1 = net.conv1
        if num_channels != 3:
            self.conv1 = nn.Conv2d(num_channels, 64, 7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.bn1 = net.bn1
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Features [N, D], the average over the last stage's grid."""
        return self.grid(images_NCHW).mean(dim=(2, 3))

    def grid(self, images_NCHW: Tensor) -> Tensor:
        """What the last stage gives, [N, D, ceil(H / 32), ceil(W / 32)]."""
        x_NDhw = functional.relu_(self.bn1(self.conv1(images_NCHW)))
        if self.pool_stem:
            x_NDhw = functional.max_pool2d(x_NDhw, 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in cast(nn.Sequential, stage):
                again = self.checkpoint_activations and self.training
                x_NDhw = recomputed(block, x_NDhw) if again else block(x_NDhw)
        return x_NDhw


def resnet50_body(*, num_channels: int = 3) -> ResNetBody:
    """ResNet-50 without its classifier: D = 2048."""
    return ResNetBody(ResNet(Bottleneck, [3, 4, 6, 3], num_classes=1), num_channels=num_channels)


def resnet18_body(*, pool_stem: bool = True) -> ResNetBody:
    """ResNet-18 without its classifier: D = 512."""
    return ResNetBody(ResNet(BasicBlock, [2, 2, 2, 2], num_classes=1), pool_stem=pool_stem)
