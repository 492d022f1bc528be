"""Vision towers that transformers lacks, as ordinary transformers models.

Registered with ``AutoModel``, so that ``LlavaForConditionalGeneration`` (vision tower + two-layer
MLP projector + causal LM) takes them like any tower of its own:

* ``vesalius_stem_vit``: a small ViT whose patches come from a convolutional stem, which learns from
  far fewer pictures than a single strided convolution (Xiao et al. 2021, "Early convolutions help
  transformers see better").
* ``vesalius_grid``: the 7 x 7 feature grid of EfficientNet-lite0, pretrained on ImageNet, frozen.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling


class StemViTConfig(PreTrainedConfig):
    """Sizes of the small ViT; it has ``(image_size / patch_size)**2`` tokens."""

    model_type = "vesalius_stem_vit"
    image_size: int = 96
    stem_layers: int = 3
    stem_blocks: int = 2
    pool: int = 3
    hidden_size: int = 192
    num_hidden_layers: int = 3
    num_attention_heads: int = 6
    intermediate_size: int = 576
    initializer_range: float = 0.06

    @property
    def patch_size(self) -> int:
        """Pixels a token covers along each axis."""
        return int(2**self.stem_layers * self.pool)


class Residual(nn.Module):
    """Two 3 x 3 convolutions around a shortcut: they find what differs from its surroundings."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )

    def forward(self, grid: torch.Tensor) -> torch.Tensor:
        """(B, width, rows, columns) to the same."""
        changed: torch.Tensor = self.inner(grid)
        return grid + changed


class StemViT(PreTrainedModel):
    """Pixels (B, 3, S, S) to tokens (B, (S/patch)^2, hidden)."""

    config_class = StemViTConfig
    main_input_name = "pixel_values"
    base_model_prefix = "stem_vit"
    _supports_sdpa = True

    def __init__(self, config: StemViTConfig) -> None:
        super().__init__(config)
        width, layers = config.hidden_size, []
        channels = 3
        for index in range(config.stem_layers):
            out = max(32, width >> (config.stem_layers - index))
            layers += [
                nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False),
                nn.GroupNorm(8, out),
                nn.GELU(),
                nn.Conv2d(out, out, 3, padding=1, bias=False),
                nn.GroupNorm(8, out),
                nn.GELU(),
            ]
            channels = out
        layers.append(nn.Conv2d(channels, width, 1))
        layers += [Residual(width) for _ in range(config.stem_blocks)]
        # The maximum keeps a small bright finding that an average would drown.
        layers.append(nn.MaxPool2d(config.pool))
        self.stem = nn.Sequential(*layers)
        side = config.image_size // config.patch_size
        self.positions = nn.Parameter(torch.zeros(1, side * side, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                config.num_attention_heads,
                config.intermediate_size,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        std = self.config.initializer_range
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.MultiheadAttention):
            nn.init.normal_(module.in_proj_weight, std=std)
            nn.init.zeros_(module.in_proj_bias)
        elif isinstance(module, StemViT):
            # Places known from the start: learned from nothing, left and right come much later.
            side = self.config.image_size // self.config.patch_size
            with torch.no_grad():
                module.positions.copy_(sine_positions(side, self.config.hidden_size))

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """The last (and only) hidden state offered, (B, tokens, hidden)."""
        grid = self.stem(pixel_values)
        states = grid.flatten(2).transpose(1, 2) + self.positions
        for layer in self.layers:
            states = layer(states)
        states = self.norm(states)
        return BaseModelOutputWithPooling(last_hidden_state=states, hidden_states=(states,))


def sine_positions(side: int, width: int) -> torch.Tensor:
    """Sines and cosines of row and column at many frequencies, (1, side * side, width).

    Source: Vaswani et al. 2017, in two dimensions as in MoCo v3 (Chen et al. 2021).
    """
    bands = width // 4
    frequencies = 10000 ** (-torch.arange(bands) / bands) * torch.pi
    steps = torch.linspace(-1, 1, side)[:, None] * frequencies * side / 2
    waves = torch.cat([steps.sin(), steps.cos()], dim=1)
    rows = waves[:, None].expand(side, side, -1)
    columns = waves[None].expand(side, side, -1)
    places = torch.cat([rows, columns], dim=-1).reshape(1, side * side, -1)
    return nn.functional.pad(places, (0, width - places.shape[-1]))


class GridTowerConfig(PreTrainedConfig):
    """EfficientNet-lite0 at 224 pixels: 7 x 7 tokens of width 1280."""

    model_type = "vesalius_grid"
    image_size: int = 224
    patch_size: int = 32
    hidden_size: int = 1280


class GridTower(PreTrainedModel):
    """The packaged EfficientNet-lite0's last feature map as tokens, always in evaluation mode."""

    config_class = GridTowerConfig
    main_input_name = "pixel_values"
    base_model_prefix = "grid"
    _supports_sdpa = True  # it has no attention; the flag lets the model around it choose freely

    def __init__(self, config: GridTowerConfig) -> None:
        super().__init__(config)
        from efficientnet_lite_pytorch import EfficientNet

        self.network = EfficientNet.from_name("efficientnet-lite0")
        # The classifier is not used; a parameter without a gradient would break DDP.
        self.network._fc = nn.Identity()
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """EfficientNet initialises itself; its weights come from the package."""

    def train(self, mode: bool = True) -> GridTower:
        """Batch statistics stay those of ImageNet whatever the model around is doing."""
        super().train(False)
        return self

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """Features scaled to unit root mean square a token, (B, 49, 1280)."""
        grid = self.network.extract_features(pixel_values)
        tokens = grid.flatten(2).transpose(1, 2)
        # The raw grid is sparse and its scale varies tenfold between pictures.
        states = tokens * torch.rsqrt(tokens.float().pow(2).mean(-1, keepdim=True) + 1e-6).to(
            tokens.dtype
        )
        return BaseModelOutputWithPooling(last_hidden_state=states, hidden_states=(states,))


AutoConfig.register("vesalius_stem_vit", StemViTConfig)
AutoModel.register(StemViTConfig, StemViT)
AutoConfig.register("vesalius_grid", GridTowerConfig)
AutoModel.register(GridTowerConfig, GridTower)
