"""A small network with what exports differ by: batch norm, in-place and reused modules, attention, a tied weight, a residual."""
import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        return x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.act = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(32, 32, 3, padding=1)
        self.blocks = nn.ModuleList([Block(32), Block(32)])
        self.up = nn.Linear(32, 64)
        self.down = nn.Linear(64, 32)
        self.down.weight = nn.Parameter(self.up.weight.detach().t().clone())
        self.mixer = nn.Linear(32, 32)
        self.tied = nn.Linear(32, 32, bias=False)
        self.tied.weight = self.mixer.weight
        self.head = nn.Linear(32, 10)
        self.checkpointing = False

    def set_grad_checkpointing(self, enable=True):
        self.checkpointing = enable

    def forward(self, image):
        x = self.act(self.norm(self.stem(image)))
        x = self.act(self.conv(x))
        x = F.max_pool2d(x, 2).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False) if self.checkpointing else block(x)
        x = x + self.down(F.gelu(self.up(x)))
        x = self.tied(torch.tanh(self.mixer(x)))
        return self.head(x.float().mean(1))


def make():
    return Small(), torch.rand(2, 3, 32, 32)
