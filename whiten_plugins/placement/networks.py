"""Places for norms in networks that are no ResNets.

What the papers do in a ResNet, in terms of other networks: the stem's last
norm and, in every block, the norm after the convolution over space (GW's
``s1b2``; SW's inner norms, of all stages). Transformers have LayerNorms only,
of which GW appendix G replaces all.

================= ====================== ==================================
name              network                norms
================= ====================== ==================================
``hrnet``         HRNet                  stem; 2nd of each Bottleneck of
                                         stage 1, 1st of each BasicBlock of
                                         the branches
``res2net``       Res2Net (deep stem)    stem; those between the scales of
                                         each block
``resnest``       ResNeSt                stem; after the split convolution,
                                         not inside the attention, which
                                         sees 1×1 maps
``mobilenet-v2``  MobileNetV2            stem; after each depthwise
                                         convolution
``mobilenet-v3``  MobileNetV3            as ``mobilenet-v2``
``convnext``      ConvNeXt               stem; that of each block, after the
                                         depthwise convolution
``swin``          Swin Transformer       all
================= ====================== ==================================

RegNet and ResNeXt are ResNets to all presets. Channels have to be divisible by
the groups: RegNetX-3.2GF takes ``num_groups=16`` of GW (its stages have 96,
192, 432 and 1008 channels), HRNet-W18 ``num_pergroup=9`` of SW.
"""

from __future__ import annotations

# By name: patterns, or several lists of them where implementations differ in
# their names (mmdet, mmseg, mmpretrain, torchvision).
NETWORKS: dict[str, tuple[tuple[str, ...], ...]] = {
    'hrnet': (('bn2', 'layer1.*.bn2', 'stage[234].*.branches.*.bn1'),),
    'res2net': (('stem.7', 'layer?.*.bns.*'),),
    'resnest': (
        ('stem.7', 'layer?.*.conv2.bn0'),
        ('bn1', 'layer?.*.conv2.bn0'),
    ),
    'mobilenet-v2': (
        ('conv1.bn', 'layer?.*.depthwise_conv.bn'),
        ('conv1.bn', 'layer1.0.conv.0.bn', 'layer[2-7].*.conv.1.bn'),
    ),
    'mobilenet-v3': (('layer0.bn', 'layer*.depthwise_conv.bn'),),
    'convnext': (
        ('downsample_layers.0.1', 'stages.*.norm'),
        ('features.0.1', 'features.*.block.2'),
    ),
    'swin': (
        (
            'patch_embed.norm',
            'stages.*.norm[12]',
            'stages.*.downsample.norm',
            'norm[0-3]',
        ),
        ('features.0.2', 'features.*.norm[12]', 'features.*.norm', 'norm'),
    ),
}
