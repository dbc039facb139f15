"""Detection and segmentation heads on timm backbones: the eval-mode reference for goldens.json.gz.

    ssdlite(backbone, classes=81)            SSDLite as in apple/ml-cvnets, 320x320
    deeplabv3(backbone, classes, ...)        DeepLabv3 as in apple/ml-cvnets, 512x512
    pspnet(backbone, classes, ...)           PSPNet as in apple/ml-cvnets, 512x512
    semantic_fpn(backbone, classes, size)    Semantic FPN as in snap-research/EfficientFormer (mmsegmentation), 512x512

Names of tensors: `backbone.` + timm's name (classifier, final_conv and last norm left out), then the official name of the
head's tensor. Under equal weights its outputs equal ml-cvnets' (SSDLite, DeepLabv3, PSPNet), snap-research's (the maps of
the EfficientFormers) and mmsegmentation's (FPN) to 2e-15 in float64.

What timm does not give and is made here:
  dilate()           MobileViT v1 and the v1-style v3 keep dilation 1 in conv_kxk; timm's output_stride=16 would set 2
  efficientformer()  v1's attention table for another map than 7x7, and its group norm after each stage
"""
from collections import OrderedDict

import sys
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from timm.models import efficientformer as efficientformer_blocks
from timm.models import mobilevit as mobilevit_blocks
from torch import nn

sys.path.append(str(Path(__file__).parents[2] / "tests"))
import mobilevitv3_reference  # noqa: E402

timm.layers.set_fused_attn(False)


# ---- backbones ------------------------------------------------------------------------------------------------------------

def dilate(stages, output_stride, dilate_block):
    """Output stride 16 or 8 by the rule of ml-cvnets. stages: the five of a MobileViT; the last two hold [MV2, hybrid block].

    The MV2 block keeps the dilation that was in force before its stage; the hybrid block's conv_kxk takes the new one, but
    in the v1-style blocks (dilate_block False) it stays 1. No other convolution is touched; patches stay 2x2.
    """
    def set_dilation(conv, dilation):
        conv.dilation = conv.padding = (dilation, dilation)  # all 3x3

    dilation = 1
    for stage, stride in ((stages[3], 16), (stages[4], 32)):
        mv2, block = stage
        if stride > output_stride:
            mv2.conv2_kxk.conv.stride = (1, 1)
            set_dilation(mv2.conv2_kxk.conv, dilation)
            dilation *= 2
        if dilate_block:
            set_dilation(block.conv_kxk.conv, dilation)


def mobilevit(name, output_stride=32):
    """Maps at strides 8, 16, 32 (or less, where dilated)."""
    net = mobilevitv3_reference.create(name) if name.startswith("mobilevitv3") else timm.create_model(name)
    net.final_conv = net.head = nn.Identity()
    dilate(net.stages, output_stride, dilate_block=isinstance(net.stages[4][1], mobilevit_blocks.MobileVitV2Block))
    net.channels = [stage[1].conv_proj.bn.num_features for stage in net.stages[2:]]

    def maps(x):
        out = [net.stem(x)]
        for stage in net.stages:
            out.append(stage(out[-1]))
        return out[3:]

    net.forward = maps
    return net


def efficientformer(name, size):
    """Maps at strides 4, 8, 16, 32; attention tables for images of `size` pixels. v1's maps are normed, v2's are not."""
    v2 = name.startswith("efficientformerv2")
    net = timm.create_model(name, **({"img_size": size} if v2 else {}))
    net.norm = net.head = net.head_dist = nn.Identity()
    net.channels = [info["num_chs"] for info in net.feature_info]
    if not v2:
        for block in net.stages[3].blocks:
            if isinstance(block, efficientformer_blocks.MetaBlock1d):
                block.token_mixer = efficientformer_blocks.Attention(net.channels[3], resolution=size // 32)
        for i, channels in enumerate(net.channels):
            net.add_module(f"norm{2 * i}", nn.GroupNorm(1, channels))

    def maps(x):
        out = net.forward_intermediates(x, intermediates_only=True)
        return out if v2 else [getattr(net, f"norm{2 * i}")(m) for i, m in enumerate(out)]

    net.forward = maps
    return net


# ---- blocks of ml-cvnets --------------------------------------------------------------------------------------------------

def conv(cin, cout, k=1, stride=1, dilation=1, groups=1, bias=False, norm=True, act=True):
    """Keys block.conv, block.norm. The heads' activation is ReLU, whatever the backbone's."""
    parts = [("conv", nn.Conv2d(cin, cout, k, stride, k // 2 * dilation, dilation, groups, bias))]
    if norm:
        parts.append(("norm", nn.BatchNorm2d(cout)))
    if act:
        parts.append(("act", nn.ReLU()))
    return named(block=nn.Sequential(OrderedDict(parts)))


def separable(cin, cout, stride=1, bias=False, norm=True, act=True):
    """Depthwise 3x3 with norm and without activation, then 1x1."""
    return named(dw_conv=conv(cin, cin, 3, stride, groups=cin, act=False),
                 pw_conv=conv(cin, cout, bias=bias, norm=norm, act=act))


def named(**parts):
    return nn.Sequential(OrderedDict(parts))


def bilinear(x, size, align_corners):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


# ---- SSDLite --------------------------------------------------------------------------------------------------------------

STRIDES = (16, 32, 64, 128, 256, -1)  # -1: global pool
PROJ = (512, 256, 256, 128, 128, 64)
RATIOS = ((2, 3),) * 5 + ((2,),)


class SSDHead(nn.Module):
    def __init__(self, cin, proj, anchors, classes, pooled):
        super().__init__()
        self.columns = 4 + classes
        if pooled:
            self.loc_cls_layer = conv(cin, anchors * self.columns, bias=True, norm=False, act=False)
            return
        if proj != cin:
            self.proj_layer = conv(cin, proj)
        self.loc_cls_layer = separable(proj, anchors * self.columns, bias=True, norm=False, act=False)

    def forward(self, x):
        if hasattr(self, "proj_layer"):
            x = self.proj_layer(x)
        x = self.loc_cls_layer(x).permute(0, 2, 3, 1)  # each cell: anchor by anchor, 4 offsets then the classes
        return x.reshape(len(x), -1, self.columns)


class SSDLite(nn.Module):
    def __init__(self, backbone, classes):
        super().__init__()
        self.backbone = backbone
        channels = backbone.channels[1:]
        cin = channels[-1]
        self.extra_layers = nn.ModuleDict()
        for stride, cout in list(zip(STRIDES, PROJ))[2:]:
            self.extra_layers[f"os_{stride}"] = separable(cin, cout, stride=2) if stride > 0 else \
                nn.Sequential(nn.AdaptiveAvgPool2d(1), conv(cin, cout, norm=False))
            channels.append(cout)
            cin = cout
        self.ssd_heads = nn.ModuleList(
            SSDHead(c, proj, 2 + 2 * len(ratios), classes, stride < 0)
            for c, proj, ratios, stride in zip(channels, PROJ, RATIOS, STRIDES))

    def maps(self, x):
        maps = self.backbone(x)[1:]
        for layer in self.extra_layers.values():
            maps.append(layer(maps[-1]))
        return maps

    def forward(self, x):
        maps = self.maps(x)
        out = torch.cat([head(m) for head, m in zip(self.ssd_heads, maps)], dim=1)
        return {"boxes": out[..., :4], "scores": out[..., 4:]}


def ssdlite(backbone, classes=81):
    return SSDLite(mobilevit(backbone), classes)


# ---- DeepLabv3 and PSPNet -------------------------------------------------------------------------------------------------

class Pooling(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.aspp_pool = named(global_pool=nn.AdaptiveAvgPool2d(1), conv_1x1=conv(cin, cout))

    def forward(self, x):
        return self.aspp_pool(x).expand(-1, -1, *x.shape[-2:])  # bilinear from 1x1 is a copy


class ASPP(nn.Module):
    def __init__(self, cin, cout, rates):
        super().__init__()
        self.convs = nn.ModuleList([conv(cin, cout), *(conv(cin, cout, 3, dilation=r) for r in rates), Pooling(cin, cout)])
        self.project = conv(5 * cout, cout)

    def forward(self, x):
        return self.project(torch.cat([c(x) for c in self.convs], 1))  # then Dropout2d 0.1


class PSP(nn.Module):
    def __init__(self, cin, cout, pools=(1, 2, 3, 6)):
        super().__init__()
        inner = cin // len(pools) // 16 * 16
        self.psp_branches = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(p), conv(cin, inner)) for p in pools)
        self.fusion = nn.Sequential(conv(cin + inner * len(pools), cout, 3))  # then Dropout2d 0.1

    def forward(self, x):
        return self.fusion(torch.cat([x, *(bilinear(b(x), x.shape[-2:], True) for b in self.psp_branches)], 1))


class Segmenter(nn.Module):
    """Logits at the map's size (`low`), then bilinear to the image's. The auxiliary head is for training alone."""

    def __init__(self, backbone, head, classes, cout, align_corners, aux):
        super().__init__()
        self.backbone = backbone
        self.align_corners = align_corners
        self.head = tuple(head) + ("classifier",)
        self.seg_head = named(**head, classifier=conv(cout, classes, bias=True, norm=False, act=False))
        if aux:
            cin = backbone.channels[1]
            inner = max(cin // 4, 128)
            self.seg_head.aux_head = nn.Sequential(conv(cin, inner, 3), nn.Dropout2d(0.1),
                                                   conv(inner, classes, bias=True, norm=False, act=False))

    def forward(self, x):
        low = self.backbone(x)[-1]
        for part in self.head:
            low = getattr(self.seg_head, part)(low)
        return {"low": low, "logits": bilinear(low, x.shape[-2:], self.align_corners)}

    def aux(self, x):
        return self.seg_head.aux_head(self.backbone(x)[1])


def deeplabv3(backbone, classes, output_stride=16, cout=256, rates=(6, 12, 18), align_corners=False, aux=False):
    net = mobilevit(backbone, output_stride)
    return Segmenter(net, {"aspp": named(aspp_layer=ASPP(net.channels[-1], cout, rates))}, classes, cout, align_corners, aux)


def pspnet(backbone, classes, output_stride=16, cout=512, align_corners=True, aux=False):
    net = mobilevit(backbone, output_stride)
    return Segmenter(net, {"psp_layer": PSP(net.channels[-1], cout)}, classes, cout, align_corners, aux)


# ---- Semantic FPN ---------------------------------------------------------------------------------------------------------

class SemanticFPN(nn.Module):
    """mmsegmentation's FPN neck and FPNHead. Names: neck.*, decode_head.*"""

    def __init__(self, backbone, classes, width=256, inner=128):
        super().__init__()
        self.backbone = backbone
        levels = len(backbone.channels)
        self.neck = named(
            lateral_convs=nn.ModuleList(named(conv=nn.Conv2d(c, width, 1)) for c in backbone.channels),
            fpn_convs=nn.ModuleList(named(conv=nn.Conv2d(width, width, 3, padding=1)) for _ in range(levels)))

        def unit(cin):
            return named(conv=nn.Conv2d(cin, inner, 3, padding=1, bias=False), bn=nn.BatchNorm2d(inner), activate=nn.ReLU())

        heads = nn.ModuleList([nn.Sequential(unit(width))])
        for level in range(1, levels):
            parts = []
            for k in range(level):
                parts += [unit(inner if k else width), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)]
            heads.append(nn.Sequential(*parts))
        self.decode_head = named(conv_seg=nn.Conv2d(inner, classes, 1), scale_heads=heads)

    def forward(self, x):
        maps = [lateral(m) for lateral, m in zip(self.neck.lateral_convs, self.backbone(x))]
        for i in range(len(maps) - 1, 0, -1):
            maps[i - 1] = maps[i - 1] + F.interpolate(maps[i], size=maps[i - 1].shape[-2:], mode="nearest")
        maps = [c(m) for c, m in zip(self.neck.fpn_convs, maps)]
        low = sum(head(m) for head, m in zip(self.decode_head.scale_heads, maps))  # then Dropout2d 0.1
        low = self.decode_head.conv_seg(low)
        return {"low": low, "logits": bilinear(low, x.shape[-2:], False)}


def semantic_fpn(backbone, classes=150, size=512):
    return SemanticFPN(efficientformer(backbone, size), classes)
